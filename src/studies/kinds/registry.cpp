// The kinds of study, in the order in which they are listed to users: one line each.
// clang-format off
#define ANNULUS_STUDY_KINDS(kind) \
  kind(phase)                     \
  kind(needle)                    \
  kind(sphere)                    \
  kind(depth)
// clang-format on

#include <array>

#include "annulus/base/error.hpp"
#include "studies/kind.hpp"

namespace annulus::studies {
namespace kinds {
#define ANNULUS_DECLARE(name) extern const StudyKind name;
ANNULUS_STUDY_KINDS(ANNULUS_DECLARE)
}  // namespace kinds

std::span<const StudyKind* const> registered_kinds() {
#define ANNULUS_ADDRESS(name) &kinds::name,
  static constexpr std::array all{ANNULUS_STUDY_KINDS(ANNULUS_ADDRESS)};
  return all;
}

const StudyKind& kind_of(const StudyConfig& config) {
  for (const auto* kind : registered_kinds()) {
    if (kind->name == config.kind) return *kind;
  }
  broken_invariant("a parsed config has a kind that is not registered");
}

}  // namespace annulus::studies
