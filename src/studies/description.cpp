// Kinds of study and their keys, in words.
#include "annulus/studies/config.hpp"
#include "studies/key_type.hpp"
#include "studies/kind.hpp"

namespace annulus::studies {
namespace {

template <class T>
StudyKeyDescription described(const Key<T>& key) {
  return {.name = std::string(key.name),
          .type = std::string(KeyType<T>::name),
          .allowed = key.allowed.words,
          .default_value = key.otherwise ? toml_text(*key.otherwise) : std::string(),
          .belongs_to = std::string(key.belongs_to),
          .meaning = std::string(key.meaning)};
}

}  // namespace

std::vector<StudyKindDescription> study_kinds() {
  std::vector<StudyKindDescription> all;
  for (const auto* kind : registered_kinds()) {
    all.push_back({.name = std::string(kind->name),
                   .description = std::string(kind->description),
                   .keys = {}});
    for (const auto& any_key : kind->keys) {
      all.back().keys.push_back(
          std::visit([](const auto* key) { return described(*key); }, any_key));
    }
  }
  return all;
}

}  // namespace annulus::studies
