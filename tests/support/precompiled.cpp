// Compiled for what is compiled before it: headers that all tests include.
int main() {}
