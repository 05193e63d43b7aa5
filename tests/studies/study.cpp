// Studies end to end: measured against closed forms, for any number of ranks, and resumed.
#include "annulus/studies/study.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/kernels/backend.hpp"
#include "studies/kind.hpp"

namespace annulus::studies {
namespace {

/// Every point of a study without a file, by variable: rows are points, then inner values.
std::map<std::string, std::vector<double>> measure_all(const StudyConfig& config, int ranks) {
  std::map<std::string, std::vector<double>> measured;
  const auto layout = layout_of(config);
  const std::size_t inner = layout.inner_axes.empty() ? 1 : layout.inner_axes[0].values.size();
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    const Resources resources{communicator, kernels::find_backend("auto", config.precision), 1};
    PointIndex point(layout.axes.size());
    for (Index index = 0; index < layout.points(); ++index) {
      Index rest = index;
      for (std::size_t axis = point.size(); axis-- > 0;) {
        const auto size = static_cast<Index>(layout.axes[axis].values.size());
        point[axis] = static_cast<std::size_t>(rest % size);
        rest /= size;
      }
      const auto values = kind_of(config).measure(config, point, resources);
      ASSERT_EQ(values.size(), layout.measured.size() * inner);
      if (communicator.rank() != 0) continue;
      for (std::size_t variable = 0; variable < layout.measured.size(); ++variable) {
        auto& all = measured[layout.measured[variable].name];
        all.insert(all.end(), values.begin() + static_cast<std::ptrdiff_t>(variable * inner),
                   values.begin() + static_cast<std::ptrdiff_t>((variable + 1) * inner));
      }
    }
  });
  return measured;
}

/// Measured against closed form: relative errors below `tolerance` of what is at least of size 1.
void expect_theory(const std::string& text, double tolerance) {
  const auto config = parse_config(text, "test");
  const auto layout = layout_of(config);
  ASSERT_FALSE(layout.theory.empty());
  for (const int ranks : {1, 2, 3, 5, 8}) {
    const auto measured = measure_all(config, ranks);
    for (const auto& theory : layout.theory) {
      const auto& values = measured.at(theory.name.substr(theory.name.find('/') + 1));
      ASSERT_EQ(values.size(), theory.values.size()) << theory.name;
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(values[i], theory.values[i], tolerance * (1 + std::abs(theory.values[i])))
            << theory.name << "[" << i << "] P=" << ranks;
      }
    }
  }
}

// Logits reach gamma ln n < 40 and are sums of a few products: weights are right to 40 eps, means
// over n of them too; eta multiplies by beta^2.
constexpr double fp64_tolerance = 1e-11;

TEST(Study, SimplexPhaseIsItsClosedForm) {
  expect_theory(
      "kind='phase'\ntokens='simplex'\nn=[7,64]\nrho=[0,0.5,0.9]\ngamma=[0,1,2,5]\n"
      "measure=['gradient_norm']",
      fp64_tolerance);
}

TEST(Study, ClusteredPhaseIsItsClosedForm) {
  expect_theory(
      "kind='phase'\ntokens='clustered'\ndirections=4\nn=[8,52]\nrho=[0.1,0.5]\ngamma=[0,0.7,3]\n"
      "measure=['gradient_norm']",
      fp64_tolerance);
}

TEST(Study, SinglePrecisionIsWithinItsOwnRounding) {
  // 40 eps of fp32 in the logits, and the cosine divides by what is left after n additions.
  expect_theory(
      "kind='phase'\ntokens='simplex'\nn=[64]\nrho=[0.5]\ngamma=[1,2,3]\n"
      "precision='fp32'",
      2e-5);
}

TEST(Study, NeedleIsItsClosedFormAtEveryP) {
  expect_theory("kind='needle'\nn=[2,101,65536]\nrho=[0.25,0.5]\ngamma=[0,1,2,3]", fp64_tolerance);
  for (const int ranks : {1, 2, 3, 4, 5, 8, 16}) {
    const auto measured =
        measure_all(parse_config("kind='needle'\nn=65536\nrho=0.5\ngamma=2", "test"), ranks);
    EXPECT_NEAR(measured.at("output")[0], .5000038147, 5.1e-11);
  }
}

TEST(Study, DepthIsItsClosedForm) {
  for (const auto* residual : {"0.0", "0.5"}) {
    expect_theory(std::string("kind='depth'\ntokens='simplex'\nn=[33]\nrho=[0.5]\ngamma=[1,2,3]\n"
                              "layers=4\nresidual=") +
                      residual,
                  fp64_tolerance);
  }
  expect_theory(
      "kind='depth'\ntokens='clustered'\ndirections=3\nn=[33]\nrho=[0.5]\ngamma=[1,2]\nlayers=3",
      fp64_tolerance);
}

TEST(Study, SphereAveragesBelowTheCriticalStrength) {
  const auto config =
      parse_config("kind='sphere'\nn=[20000]\ngamma=[0,0.1,0.5]\ndimension=8\nqueries=32", "test");
  const auto theory = layout_of(config).theory.at(0);
  ASSERT_EQ(theory.name, "theory/alignment");
  const auto alone = measure_all(config, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    // 32 queries over 20000 keys: five standard errors of weights whose participation is the
    // effective number of keys.
    const double error = 5 / std::sqrt(alone.at("participation")[i]);
    EXPECT_NEAR(alone.at("alignment")[i], theory.values[i], error);
  }
  for (const int ranks : {2, 3, 5}) {
    const auto spread = measure_all(config, ranks);
    for (const auto& [name, values] : alone) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(spread.at(name)[i], values[i], fp64_tolerance * (1 + std::abs(values[i])));
      }
    }
  }
}

TEST(Study, GaussianTokensGiveTheSameForAnyP) {
  const auto config = parse_config(
      "kind='phase'\ntokens='gaussian'\ndimension=5\nn=[67]\nrho=[0.3]\ngamma=[0,1,4]\n"
      "measure=['gradient_norm']",
      "test");
  const auto alone = measure_all(config, 1);
  for (const int ranks : {2, 3, 4, 5, 8}) {
    const auto spread = measure_all(config, ranks);
    for (const auto& [name, values] : alone) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(spread.at(name)[i], values[i], fp64_tolerance * (1 + std::abs(values[i])))
            << name;
      }
    }
  }
}

#if ANNULUS_HAVE_HDF5

/// The bytes of the measured arrays are compared by whoever reads the files; here: which points are
/// measured after a resumption.
TEST(Study, AResumedStudyMeasuresOnlyWhatIsLeft) {
  const auto config = parse_config("kind='needle'\nn=[8,16,32]\nrho=[0.5]\ngamma=[1,2]", "test");
  const std::string path = testing::TempDir() + "resumed_study.h5";
  std::remove(path.c_str());
  const auto provenance = [&] {
    results::Provenance of;
    of.config = canonical(config);
    of.hosts = {"here"};
    return of;
  };
  auto alone = comm::self();
  const Resources resources{alone, kernels::find_backend("auto", config.precision), 1};
  try {
    results::StudyFile file(path, layout_of(config), provenance(), results::Existing::refuse);
    run_study(config, resources, &file, [](Index done, Index) {
      if (done == 4) throw Error("stopped");
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "stopped");
  }
  std::vector<Index> seen;
  results::StudyFile file(path, layout_of(config), provenance(), results::Existing::resume);
  run_study(config, resources, &file, [&](Index done, Index) { seen.push_back(done); });
  EXPECT_EQ(seen, (std::vector<Index>{4, 5, 6}));
}

#endif

}  // namespace
}  // namespace annulus::studies
