#include <algorithm>

#include "annulus/comm/self.hpp"
#include "annulus/ring/cached_attention.hpp"
#include "c/call.hpp"
#include "c/plan.hpp"

#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#endif

using annulus::Index;
using annulus::c::call;
using annulus::c::given;
using annulus::c::input;
using annulus::c::output;

struct annulus_cache {
  std::unique_ptr<annulus::comm::Communicator> communicator;
  annulus::Problem problem;
  annulus::DataType type;
  annulus::CachedAttention attention;
  annulus::CacheChunk chunk;  ///< the tokens that calls are about

  annulus_cache(annulus::Problem problem_, const annulus::c::Options& options,
                std::unique_ptr<annulus::comm::Communicator> communicator_)
      : communicator(std::move(communicator_)),
        problem(std::move(problem_)),
        type(options.plan.data_type),
        attention(problem, type, *communicator, options.kernel(),
                  options.threads_of(*communicator)) {
    chunk.shards.resize(static_cast<std::size_t>(communicator->size()));
  }

  [[nodiscard]] Index rows() const { return chunk.rows(communicator->rank()); }
};

namespace {

template <class Make>
int create(const annulus_problem* problem, const annulus_options* options, annulus_cache** cache,
           Make make) {
  return call([&] {
    annulus_cache*& result = given(cache, "cache");
    auto known = annulus::c::problem_of(given(problem, "problem"));
    const auto chosen = annulus::c::options_of(options);
    if (chosen.plan.sharding || chosen.plan.key_sharding) {
      throw annulus::InputError(
          "sharding: the tokens of a cache go to the ranks in turns; expected NULL");
    }
    result = std::make_unique<annulus_cache>(std::move(known), chosen, make()).release();
  });
}

}  // namespace

#if ANNULUS_HAVE_MPI
int annulus_cache_create(const annulus_problem* problem, const annulus_options* options,
                         MPI_Comm communicator, annulus_cache** cache) {
  return create(problem, options, cache,
                [&] { return std::make_unique<annulus::comm::MpiCommunicator>(communicator); });
}
#endif

int annulus_cache_create_fortran(const annulus_problem* problem, const annulus_options* options,
                                 int communicator, annulus_cache** cache) {
  return create(problem, options, cache,
                [&] { return annulus::c::fortran_communicator(communicator); });
}

int annulus_cache_create_self(const annulus_problem* problem, const annulus_options* options,
                              annulus_cache** cache) {
  return create(problem, options, cache,
                [] { return std::make_unique<annulus::comm::SelfCommunicator>(); });
}

void annulus_cache_destroy(annulus_cache* cache) {
  delete cache;
}

int annulus_cache_next(annulus_cache* cache, const int64_t* counts, int64_t* rows) {
  return call([&] {
    auto& known = given(cache, "cache");
    const auto& layout = known.attention.layout();
    known.chunk = layout.next(
        std::span(&given(counts, "counts"), static_cast<std::size_t>(layout.sequences())));
    given(rows, "rows") = known.rows();
  });
}

int annulus_cache_next_of_plan(annulus_cache* cache, const annulus_plan* plan, int64_t* rows) {
  return call([&] {
    auto& known = given(cache, "cache");
    const auto& prefilled = given(plan, "plan").plan;
    annulus::CacheChunk chunk;
    for (int rank = 0; rank < prefilled.ranks(); ++rank) {
      chunk.shards.push_back(prefilled.key_shard(rank));
    }
    auto layout = known.attention.layout();
    layout.append(chunk);  // throws where it does not fit
    known.chunk = std::move(chunk);
    given(rows, "rows") = known.rows();
  });
}

int annulus_cache_tokens(const annulus_cache* cache, int64_t* sequences, int64_t* positions) {
  return call([&] {
    const auto& known = given(cache, "cache");
    for (const auto& run :
         known.chunk.shards[static_cast<std::size_t>(known.communicator->rank())]) {
      for (Index i = 0; i < run.count; ++i) {
        if (sequences != nullptr) *sequences++ = run.document;
        if (positions != nullptr) *positions++ = run.first + i * run.stride;
      }
    }
  });
}

int annulus_cache_append(annulus_cache* cache, const void* k, const void* v) {
  return call([&] {
    auto& known = given(cache, "cache");
    const auto& problem = known.problem;
    const Index rows = known.rows();
    known.attention.append(
        known.chunk, input(k, "k", known.type, rows, problem.key_heads, problem.head_dim),
        input(v, "v", known.type, rows, problem.key_heads, problem.output_dim()));
  });
}

int annulus_cache_attend(annulus_cache* cache, const void* q, void* out,
                         const annulus_inputs* inputs, const annulus_outputs* outputs) {
  return call([&] {
    auto& known = given(cache, "cache");
    const auto& problem = known.problem;
    const Index rows = known.rows();
    const auto sums = annulus::accumulator_of(known.type);
    known.attention.attend(
        known.chunk, input(q, "q", known.type, rows, problem.query_heads, problem.head_dim),
        output(out, "out", sums, rows, problem.query_heads, problem.output_dim()),
        annulus::c::forward_options(inputs, outputs, problem, sums, rows));
  });
}
