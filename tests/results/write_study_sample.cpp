// Writes the sample study with its first 11 points to the path it is given.

#include "results/study_sample.hpp"

int main(int count, char** arguments) {
  if (count != 2) return 2;
  using namespace annulus::results;
  StudyFile file(arguments[1], sample_layout(), sample_provenance(), Existing::refuse);
  for (annulus::Index point = 0; point < 11; ++point) {
    file.write_point(point, sample_values(point));
  }
}
