// annulus bench decode: one new token of each sequence over a cache that is spread over the ranks.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/tensor.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/measure/rulers.hpp"
#include "annulus/ring/cached_attention.hpp"
#include "annulus/verify/validation.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/table.hpp"

namespace annulus::cli {
namespace {

/// Fills a tensor with numbers in [-1, 1) that look random; quick, since a cache is large.
void fill(TensorView view, std::uint64_t seed) {
  with_element(view.type, [&]<class T>() {
    std::uint64_t state = 2 * seed + 1;
    for (Index i = 0; i < view.rows; ++i) {
      T* row = view.row<T>(i, 0);
      for (Index c = 0; c < view.heads * view.dim; ++c) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        row[c] = T(static_cast<float>(static_cast<std::int32_t>(state >> 32)) * 0x1p-31F);
      }
    }
  });
}

class BenchDecode final : public Command {
 public:
  void add_options(CLI::App& app) override {
    shape_.length = 16384;
    shape_.heads = 32;
    shape_.key_heads = 8;
    shape_.head_dim = 128;
    shape_.attention.mask = Mask::causal();
    shape_.add_to(app);
    execution_.add_compute_to(app);
    execution_.add_precision_to(app);
    add_number(app, "--tokens", tokens_, repetition_counts, "timed tokens of each sequence")
        ->default_str(fmt::format("{}", tokens_));
    add_seed(app, seed_);
  }

  void check() const override {
    const auto problem = shape_.problem();
    (void)execution_.kernel(execution_.precision);
    check_decode(problem, "bench decode");
  }

  int run(const Context& context) const override {
    auto& communicator = context.communicator;
    const auto problem = shape_.problem();
    const auto type = execution_.precision;
    const auto execution = execution_.on_device(context, [&](const ExecutionOptions& options) {
      options.try_problem(problem, communicator.topology());
    });
    const auto& kernel = execution.kernel(type, communicator);
    const auto cores = execution.cores(context);
    const int threads = cores.threads;
    const bool valid = is_valid(problem, communicator, kernel, threads);

    // The lengths are those before the first timed token.
    auto open_ended = problem;
    open_ended.documents = Documents::batch(problem.documents.count(), 0, 0);
    CachedAttention attention(open_ended, type, communicator, kernel, threads);
    std::vector<Index> counts;
    for (Index i = 0; i < problem.documents.count(); ++i) {
      counts.push_back(problem.documents.key_length(i));
    }
    append(attention, communicator, attention.layout().next(counts), type);
    Index bytes = attention.bytes();
    communicator.all_reduce(std::span(&bytes, 1), comm::Reduction::sum);

    const double bandwidth = measure::read_bandwidth(communicator, cores, attention.stream());
    std::vector<std::array<double, 2>> times;
    Index bytes_sent = 0;
    const std::vector<Index> one(counts.size(), 1);
    for (int token = 0; token <= tokens_; ++token) {
      const auto chunk = attention.layout().next(one);
      append(attention, communicator, chunk, type);
      const Index rows = chunk.rows(communicator.rank());
      Tensor q(type, rows, problem.query_heads, problem.head_dim);
      fill(q.view(), seed_);
      // Where a model has them.
      const auto& stream = attention.stream();
      const device::DeviceTensor queries(stream, type, rows, problem.query_heads, problem.head_dim);
      const device::DeviceTensor out(stream, accumulator_of(type), rows, problem.query_heads,
                                     problem.output_dim());
      device::upload(*stream, queries.view(), std::as_const(q).view());
      stream->synchronize();
      communicator.barrier();
      const auto report = attention.attend(chunk, queries.view(), out.view());
      std::array<double, 2> slowest{report.seconds, report.exposed_seconds};
      communicator.all_reduce(slowest, comm::Reduction::maximum);
      if (token > 0) times.push_back(slowest);  // the first one warms up
      bytes_sent = report.bytes_sent;
    }
    communicator.all_reduce(std::span(&bytes_sent, 1), comm::Reduction::sum);
    std::ranges::sort(times);
    if (context.speaks()) {
      print(context, kernel.name(), type, threads, bytes, bandwidth, times, bytes_sent, valid);
    }
    return valid ? 0 : 1;
  }

 private:
  /// Whether a short sequence of the same shape agrees with the reference.
  [[nodiscard]] bool is_valid(Problem problem, comm::Communicator& communicator,
                              const kernels::Kernel& kernel, int threads) const {
    problem.documents = Documents::batch(std::min<Index>(problem.documents.count(), 2), 67, 67);
    const auto plan =
        make_plan(problem, communicator.topology(), {.data_type = execution_.precision});
    return verify::validate_plan(plan, communicator, kernel, threads, verify::Checked::decode,
                                 seed_)
        .valid();
  }

  void append(CachedAttention& attention, const comm::Communicator& communicator,
              const CacheChunk& chunk, DataType type) const {
    const auto problem = shape_.problem();
    const Index rows = chunk.rows(communicator.rank());
    Tensor k(type, rows, problem.key_heads, problem.head_dim);
    Tensor v(type, rows, problem.key_heads, problem.output_dim());
    fill(k.view(), seed_ + 1);
    fill(v.view(), seed_ + 2);
    attention.append(chunk, std::as_const(k).view(), std::as_const(v).view());
  }

  void print(const Context& context, std::string_view backend, DataType type, int threads,
             Index bytes, double bandwidth, const std::vector<std::array<double, 2>>& times,
             Index bytes_sent, bool valid) const {
    const auto problem = shape_.problem();
    const auto median = times[times.size() / 2];
    Table table({"sequences", "n_k", "heads", "key_heads", "head_dim", "value_dim", "mask",
                 "precision", "ranks", "threads", "seconds", "seconds_min", "seconds_max",
                 "cache_bytes", "bytes_per_second", "fraction_of_read_bandwidth", "exposed_seconds",
                 "bytes_sent", "verdict"});
    table.add({cell(problem.documents.count()), cell(problem.documents.keys()),
               cell(problem.query_heads), cell(problem.key_heads), cell(problem.head_dim),
               cell(problem.output_dim()), cell(problem.mask.name()),
               cell(std::string(name_of(type))), cell(Index{context.communicator.size()}),
               cell(Index{threads}), cell(median[0]), cell(times.front()[0]), cell(times.back()[0]),
               cell(bytes), cell(static_cast<double>(bytes) / median[0]),
               cell(static_cast<double>(bytes) / median[0] / bandwidth, 3), cell(median[1], 3),
               cell(bytes_sent), cell(std::string(valid ? "VALID" : "INVALID"))});
    if (context.json) {
      fmt::print("{}\n", Json{{"backend", backend}, {"rows", table.json()}}.dump(
                             2, ' ', false, Json::error_handler_t::replace));
    } else {
      fmt::print("backend {}\n{}", backend, table.folded_text());
    }
  }

  ShapeOptions shape_;
  ExecutionOptions execution_;
  int tokens_ = 20;
  std::uint64_t seed_ = 1;
};

}  // namespace

std::unique_ptr<Command> make_bench_decode() {
  return std::make_unique<BenchDecode>();
}

}  // namespace annulus::cli
