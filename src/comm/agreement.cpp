#include "annulus/comm/agreement.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <new>
#include <string>

#include "annulus/comm/error.hpp"

namespace annulus::comm {
namespace {

enum class Kind : unsigned char { error, input_error, communication_error };

/// How a body ended: nothing, or the kind of its exception and then the message, byte by byte.
std::vector<std::byte> outcome_of(const std::function<void()>& body) {
  const auto encode = [](Kind kind, std::string_view message) {
    std::vector<std::byte> outcome{static_cast<std::byte>(kind)};
    std::ranges::transform(message, std::back_inserter(outcome),
                           [](char c) { return static_cast<std::byte>(c); });
    return outcome;
  };
  try {
    body();
  } catch (const InputError& error) {
    return encode(Kind::input_error, error.what());
  } catch (const CommunicationError& error) {
    return encode(Kind::communication_error, error.what());
  } catch (const std::bad_alloc& error) {
    return encode(Kind::error, std::string("out of memory: ") + error.what());
  } catch (const std::exception& error) {
    return encode(Kind::error, error.what());
  } catch (...) {
    return encode(Kind::error, "an exception of unknown type");
  }
  return {};
}

void throw_failure(const std::vector<std::byte>& outcome) {
  if (outcome.empty()) return;
  std::string message;
  std::transform(outcome.begin() + 1, outcome.end(), std::back_inserter(message),
                 [](std::byte b) { return static_cast<char>(b); });
  switch (static_cast<Kind>(outcome.front())) {
    case Kind::input_error:
      throw InputError(message);
    case Kind::communication_error:
      throw CommunicationError(message);
    case Kind::error:
      break;
  }
  throw Error(message);
}

}  // namespace

void on_root(Communicator& communicator, const std::function<void()>& body) {
  std::vector<std::byte> outcome;
  if (communicator.rank() == 0) outcome = outcome_of(body);
  auto length = static_cast<Index>(outcome.size());
  communicator.broadcast(std::as_writable_bytes(std::span(&length, 1)), 0);
  if (length == 0) return;
  outcome.resize(static_cast<std::size_t>(length));
  communicator.broadcast(outcome, 0);
  throw_failure(outcome);
}

void together(Communicator& communicator, const std::function<void()>& body) {
  const auto outcome = outcome_of(body);
  Index failed = outcome.empty() ? 0 : 1;
  communicator.all_reduce(std::span(&failed, 1), Reduction::maximum);
  if (failed == 0) return;
  for (const auto& theirs : communicator.all_gather(outcome)) throw_failure(theirs);
}

}  // namespace annulus::comm
