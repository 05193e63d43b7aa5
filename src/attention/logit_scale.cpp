#include "annulus/attention/logit_scale.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "attention/logit_scales/policy.hpp"
#include "base/range.hpp"

namespace annulus {
namespace {

const LogitScalePolicy& find_policy(std::string_view name) {
  for (const auto* policy : logit_scale_policies()) {
    if (policy->name == name) return *policy;
  }
  throw InputError(fmt::format("unknown logit scale '{}'; expected one of {}", name,
                               fmt::join(LogitScale::names(), ", ")));
}

std::string key_list(const LogitScalePolicy& policy) {
  std::string list;
  for (const auto& key : policy.keys) list += fmt::format("{}, ", key.name);
  return list + "base, length";
}

}  // namespace

LogitScale::LogitScale() : LogitScale(find_policy("none")) {}

LogitScale::LogitScale(const LogitScalePolicy& policy)
    : policy_(&policy), base_(policy.base), length_(policy.length) {
  for (const auto& key : policy.keys) parameters_.push_back(key.value);
}

LogitScale LogitScale::critical(double gamma) {
  LogitScale scale(find_policy("critical"));
  scale.parameters_[0] = gamma;
  return scale;
}

LogitScale LogitScale::table() {
  return LogitScale(find_policy("table"));
}

std::vector<std::string_view> LogitScale::names() {
  std::vector<std::string_view> names;
  for (const auto* policy : logit_scale_policies()) names.push_back(policy->name);
  return names;
}

LogitScale LogitScale::parse(std::string_view text) {
  const auto colon = text.find(':');
  LogitScale scale(find_policy(text.substr(0, colon)));
  if (colon == std::string_view::npos) return scale;
  std::vector<std::string_view> seen;
  for (auto rest = text.substr(colon + 1);;) {
    const auto comma = rest.find(',');
    const auto setting = rest.substr(0, comma);
    const auto equals = setting.find('=');
    if (equals == std::string_view::npos) {
      throw InputError(
          fmt::format("logit scale '{}': expected key=value where '{}' stands; keys "
                      "are {}",
                      text, setting, key_list(*scale.policy_)));
    }
    const auto key = setting.substr(0, equals);
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      throw InputError(fmt::format("logit scale '{}': key '{}' is given twice", text, key));
    }
    seen.push_back(key);
    scale.set(key, setting.substr(equals + 1));
    if (comma == std::string_view::npos) return scale;
    rest = rest.substr(comma + 1);
  }
}

void LogitScale::set(std::string_view key, std::string_view value) {
  const auto expects = [&](const std::string& what) {
    return InputError(fmt::format("logit scale '{}': key '{}' is '{}'; expected {}", policy_->name,
                                  key, value, what));
  };
  const auto number_in = [&](const RealRange& range) {
    const auto number = parse_number<double>(value);
    return number && range.contains(*number) ? number : std::nullopt;
  };
  if (key == "base") {
    base_ = number_in({});
    if (!base_ && value != "rsqrt_d") throw expects("rsqrt_d or a number");
    return;
  }
  if (key == "length") {
    if (value != "global" && value != "visible") throw expects("global or visible");
    length_ = value == "global" ? ScaleLength::global : ScaleLength::visible;
    return;
  }
  for (std::size_t index = 0; index < parameters_.size(); ++index) {
    const auto& known = policy_->keys[index];
    if (known.name != key) continue;
    const auto number = number_in(known.range);
    if (!number) throw expects(known.range.words());
    parameters_[index] = *number;
    return;
  }
  throw InputError(fmt::format("logit scale '{}' has no key '{}'; its keys are {}", policy_->name,
                               key, key_list(*policy_)));
}

std::string LogitScale::name() const {
  std::string text(policy_->name);
  char separator = ':';
  for (std::size_t index = 0; index < parameters_.size(); ++index) {
    text += fmt::format("{}{}={}", separator, policy_->keys[index].name, parameters_[index]);
    separator = ',';
  }
  text += separator;
  text += base_ ? fmt::format("base={}", *base_) : "base=rsqrt_d";
  return text + (length_ == ScaleLength::global ? ",length=global" : ",length=visible");
}

bool LogitScale::is_table() const {
  return policy_->name == "table";
}

double LogitScale::beta(const QueryPlace& place, Index head_dim) const {
  const Index n = length_ == ScaleLength::global ? place.document_length : place.visible;
  return policy_->beta(parameters_, {.n = static_cast<double>(std::max<Index>(n, 1)),
                                     .i = static_cast<double>(std::max<Index>(place.position, 0)),
                                     .head_dim = head_dim});
}

double LogitScale::base(Index head_dim) const {
  return base_ ? *base_ : 1.0 / std::sqrt(static_cast<double>(head_dim));
}

}  // namespace annulus
