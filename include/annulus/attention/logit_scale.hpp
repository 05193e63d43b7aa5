#pragma once
// The softmax scale of a query: base * beta(n, i), a closed form of where the query stands in its
// document and never of the shard that holds it.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus {

/// Which length n a policy sees.
enum class ScaleLength {
  global,   ///< the document's length in keys
  visible,  ///< the number of keys that this query sees
};

/// Where a query stands, in key coordinates of its document.
struct QueryPlace {
  Index document_length;  ///< keys in the document
  Index visible;          ///< keys that the mask lets this query see
  Index position;         ///< 0-based; negative for queries that stand before the first key
};

/// What a policy's formula is evaluated at.
struct ScaleArguments {
  double n;  ///< the length that ScaleLength chooses, at least 1
  double i;  ///< the 0-based position, at least 0
  Index head_dim;
};

struct LogitScalePolicy;  // src/attention/logit_scales/policy.hpp

/// A logit scale policy with its parameters: `NAME[:key=value,...]`.
class LogitScale {
 public:
  LogitScale();  ///< `none`: beta = 1, base = 1/sqrt(d)

  [[nodiscard]] static LogitScale none() { return {}; }
  /// beta = gamma ln n with base 1 and the global length, as in arXiv 2510.05554.
  [[nodiscard]] static LogitScale critical(double gamma);
  /// Scales given by the caller, one per query or per query and head.
  [[nodiscard]] static LogitScale table();

  /// Reads `NAME[:key=value,...]`; throws InputError that lists the names or keys that exist.
  [[nodiscard]] static LogitScale parse(std::string_view text);
  /// The names of all policies.
  [[nodiscard]] static std::vector<std::string_view> names();

  /// The text that parse() reads back, with every key spelled out.
  [[nodiscard]] std::string name() const;

  /// Whether beta comes from the caller's table rather than from a formula.
  [[nodiscard]] bool is_table() const;

  /// beta at a query; 1 for `table`.
  [[nodiscard]] double beta(const QueryPlace& place, Index head_dim) const;

  /// The base scale c: 1/sqrt(head_dim), or the number given.
  [[nodiscard]] double base(Index head_dim) const;

 private:
  explicit LogitScale(const LogitScalePolicy& policy);
  void set(std::string_view key, std::string_view value);

  const LogitScalePolicy* policy_;  // registered policies live as long as the program
  std::vector<double> parameters_;  // in the order of the policy's keys
  std::optional<double> base_;      // none: 1/sqrt(d)
  ScaleLength length_;
};

}  // namespace annulus
