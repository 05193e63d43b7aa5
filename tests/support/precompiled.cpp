// Holds the precompiled headers of the tests, and nothing else.
