// The list of kinds: one line each.
#include <array>

#include "annulus/base/error.hpp"
#include "studies/kind.hpp"

namespace annulus::studies {
namespace kinds {
extern const StudyKind phase;
extern const StudyKind needle;
extern const StudyKind sphere;
extern const StudyKind depth;
}  // namespace kinds

const StudyKind& kind_of(const StudyConfig& config) {
  static constexpr std::array<const StudyKind*, 4> all{&kinds::phase, &kinds::needle,
                                                       &kinds::sphere, &kinds::depth};
  for (const auto* kind : all) {
    if (kind->name == config.kind) return *kind;
  }
  broken_invariant("a parsed config has a kind that is not registered");
}

}  // namespace annulus::studies
