// Decode, and prefill in chunks, over keys and values that stay where they are.
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "annulus/base/read_option.hpp"
#include "annulus/plan/format.hpp"
#include "annulus/ring/cached_attention.hpp"
#include "python/engine_options.hpp"
#include "python/forward_arguments.hpp"
#include "python/interrupts.hpp"

namespace annulus::python {
namespace {

using namespace nb::literals;

/// Enough of a chunk to tell it apart from others: what each rank has of it, and from where on.
std::string text_of(const CacheChunk& chunk) {
  std::string text;
  for (const auto& shard : chunk.shards) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", to_string(shard));
  }
  return text;
}

class Cache {
 public:
  Cache(const Problem& problem, comm::Communicator& communicator, const std::string& precision,
        const std::string& backend, int threads)
      : communicator_(communicator), problem_(problem) {
    chunk_.shards.resize(static_cast<std::size_t>(communicator.size()));
    const auto facts = [&] {
      auto all = facts_of(problem);
      all.insert(all.end(), {{"precision", precision}, {"backend", backend}});
      return all;
    };
    agree(communicator, facts, [&] {
      type_ = read_option("precision", [&] { return parse_data_type(precision); });
      const auto& kernel = backend_of(communicator, backend, type_);
      attention_.emplace(problem, type_, communicator, kernel, threads_of(threads, communicator));
    });
  }

  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// The next tokens become those that calls are about. Returns this rank's of them.
  Shard next(const std::vector<Index>& counts) {
    chunk_ = attention_->layout().next(counts);
    return own();
  }

  /// The same for tokens that a plan has given to the ranks.
  Shard next_of(const Plan& plan) {
    CacheChunk chunk;
    for (int rank = 0; rank < plan.ranks(); ++rank) chunk.shards.push_back(plan.key_shard(rank));
    auto layout = attention_->layout();
    layout.append(chunk);  // throws where it does not fit
    chunk_ = std::move(chunk);
    return own();
  }

  [[nodiscard]] std::vector<Index> lengths() const {
    std::vector<Index> lengths;
    const auto& layout = attention_->layout();
    for (Index at = 0; at < layout.sequences(); ++at) lengths.push_back(layout.length(at));
    return lengths;
  }

  void append(nb::handle k, nb::handle v) {
    Arrays arrays;
    const auto shapes = this->shapes();
    attention_->append(chunk_, arrays.input(k, shapes.k()), arrays.input(v, shapes.v()));
  }

  PassReport attend(nb::handle q, nb::handle out, const ForwardArguments& arguments) {
    Arrays arrays;
    const auto shapes = this->shapes();
    ConstTensorView q_view;
    TensorView out_view;
    ForwardOptions options;
    const nb::gil_scoped_release unlocked;
    agree(
        communicator_,
        [&] {
          auto facts = arguments.facts("attend", false);
          facts.emplace_back("the tokens", text_of(chunk_));
          return facts;
        },
        [&] {
          const nb::gil_scoped_acquire gil;
          q_view = arrays.input(q, shapes.q());
          out_view = arrays.output(out, shapes.out());
          options = arguments.options(arrays, problem_, shapes);
        });
    options.poll = interrupts();
    return attention_->attend(chunk_, q_view, out_view, options);
  }

  [[nodiscard]] Index bytes() const { return attention_->bytes(); }

 private:
  [[nodiscard]] Shard own() const {
    return chunk_.shards[static_cast<std::size_t>(communicator_.rank())];
  }
  [[nodiscard]] Shapes shapes() const {
    const Index rows = chunk_.rows(communicator_.rank());
    return {problem_, type_, rows, rows, DeviceKind::cpu};
  }

  comm::Communicator& communicator_;
  Problem problem_;
  DataType type_ = DataType::float32;
  std::optional<CachedAttention> attention_;
  CacheChunk chunk_;  // the tokens that calls are about
};

}  // namespace

void bind_cache(nb::module_& module) {
  nb::class_<Cache>(module, "Cache")
      .def(nb::init<const Problem&, comm::Communicator&, const std::string&, const std::string&,
                    int>(),
           "problem"_a, "communicator"_a, "precision"_a, "backend"_a, "threads"_a,
           nb::keep_alive<1, 3>(), nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("lengths", &Cache::lengths)
      .def_prop_ro("bytes", &Cache::bytes)
      .def("next", &Cache::next, "counts"_a)
      .def("next_of", &Cache::next_of, "plan"_a)
      .def("append", &Cache::append, "k"_a, "v"_a)
      .def("attend", &Cache::attend, "q"_a, "out"_a, "arguments"_a);
}

}  // namespace annulus::python
