#include "annulus/measure/kernel_cost.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/device/device_tensor.hpp"
#include "measure/least_squares.hpp"

namespace annulus::measure {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Index query_heads = 4;
constexpr Index key_heads = 2;

/// A pass whose kernel is called so many times with as many keys each time.
struct Shape {
  Index queries;
  Index keys;
  Index calls;
};
// Large tiles for pairs, few keys for query rows, few queries for keys, few of both for calls.
constexpr std::array<Shape, 8> shapes{{{1024, 1024, 1},
                                       {512, 512, 2},
                                       {256, 256, 4},
                                       {2048, 64, 4},
                                       {64, 2048, 4},
                                       {64, 64, 64},
                                       {256, 64, 1},
                                       {2048, 64, 1}}};

/// What one head and row, key or call of a shape is multiplied with: the terms of a KernelCost.
std::vector<double> terms_of(const Shape& shape) {
  const auto queries = static_cast<double>(shape.queries * query_heads);
  const auto calls = static_cast<double>(shape.calls);
  return {calls * queries * static_cast<double>(shape.keys), calls * queries,
          calls * static_cast<double>(shape.keys * key_heads), queries, calls};
}

/// Tensors of standard magnitude; what they hold does not matter to a kernel's time.
device::DeviceTensor filled(const std::shared_ptr<device::Stream>& stream, DataType type,
                            Index rows, Index heads, Index dim) {
  device::DeviceTensor tensor(stream, type, rows, heads, dim);
  with_element(type, [&]<class T>() {
    std::vector<T> values(static_cast<std::size_t>(rows * heads * dim));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<T>(static_cast<float>(i % 17) / 8.0F - 1.0F);
    }
    device::upload(*stream, tensor.view(), dense_view(values.data(), rows, heads, dim));
  });
  return tensor;
}

/// Passes of one shape, to be run again and again.
class ShapePass {
 public:
  ShapePass(const kernels::Kernel& kernel, DataType type, Pass pass, Index d, const Shape& shape,
            const kernels::PassOptions& options)
      : kernel_(kernel), pass_(pass), shape_(shape), options_(options) {
    const auto& stream = options.stream;
    const auto sum = accumulator_of(type);
    q_ = filled(stream, type, shape.queries, query_heads, d);
    k_ = filled(stream, type, shape.keys, key_heads, d);
    v_ = filled(stream, type, shape.keys, key_heads, d);
    out_ = {stream, sum, shape.queries, query_heads, d};
    lse_ = {stream, sum, shape.queries, query_heads, 1};
    betas_.assign(static_cast<std::size_t>(shape.queries), 1);
    head_factors_.assign(query_heads, 1 / std::sqrt(static_cast<double>(d)));
    betas_there_ = {stream, DataType::float64, shape.queries, 1, 1};
    device::upload(*stream, betas_there_.view(),
                   dense_view(std::as_const(betas_).data(), shape.queries, 1, 1));
    blocks_ = {{.queries = {.count = shape.queries}, .keys = {.count = shape.keys}}};
    forward();
    if (pass == Pass::forward) return;
    dout_ = filled(stream, type, shape.queries, query_heads, d);
    dq_ = {stream, sum, shape.queries, query_heads, d};
    dk_ = {stream, sum, shape.keys, key_heads, d};
    dv_ = {stream, sum, shape.keys, key_heads, d};
  }

  /// Seconds of one run, on an idle device.
  double run() {
    options_.stream->synchronize();
    const auto start = Clock::now();
    if (pass_ == Pass::forward) {
      forward();
    } else {
      backward();
    }
    options_.stream->synchronize();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  void forward(const kernels::Poll& poll = {}) {
    const auto pass = kernel_.forward({.q = q_.view(), .scale = scales(), .sink = {}}, options_);
    for (Index call = 0; call < shape_.calls; ++call) {
      pass->accumulate(k_.view(), v_.view(), blocks_, poll);
    }
    pass->finish({.out = out_.view(), .lse = lse_.view()});
  }

 private:
  [[nodiscard]] kernels::LogitScales scales() const {
    return {.rows = betas_there_.view(), .heads = head_factors_, .known_rows = betas_};
  }

  void backward() {
    const auto pass = kernel_.backward({.q = q_.view(),
                                        .scale = scales(),
                                        .dout = dout_.view(),
                                        .lse = lse_.view(),
                                        .out = out_.view()},
                                       options_);
    for (Index call = 0; call < shape_.calls; ++call) {
      pass->accumulate(k_.view(), v_.view(), blocks_, dk_.view(), dv_.view(), {});
    }
    pass->finish(dq_.view(), {});
  }

  const kernels::Kernel& kernel_;
  Pass pass_;
  Shape shape_;
  kernels::PassOptions options_;
  std::vector<double> betas_;
  std::vector<double> head_factors_;
  std::vector<Block> blocks_;
  device::DeviceTensor betas_there_, q_, k_, v_, out_, lse_, dout_, dq_, dk_, dv_;
};

/// The median of the times of all ranks, of runs for about `seconds`.
double median_seconds(ShapePass& pass, comm::Communicator& communicator, double seconds) {
  std::vector<double> times;
  pass.run();
  communicator.barrier();
  const auto begin = Clock::now();
  while (times.size() < 3 ||
         std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    times.push_back(pass.run());
  }
  std::ranges::sort(times);
  std::array<double, 1> median{times[times.size() / 2]};
  communicator.all_reduce(median, comm::Reduction::sum);
  return median.front() / communicator.size();
}

}  // namespace

KernelCost measure_kernel_cost(const kernels::Kernel& kernel, DataType type, Pass pass,
                               Index head_dim, comm::Communicator& communicator, int threads,
                               double share, double seconds) {
  const auto stream =
      kernel.open_stream(place_on_node(communicator.topology(), communicator.rank()));
  const kernels::PassOptions options{.key_heads = key_heads,
                                     .value_dim = head_dim,
                                     .threads = threads,
                                     .stream = stream,
                                     .memory = std::make_shared<device::BufferPool>(stream)};
  std::vector<std::vector<double>> terms;
  std::vector<double> times;
  const double cores = kernel.device() == DeviceKind::cpu ? threads * share : 1;
  for (const auto& shape : shapes) {
    ShapePass shaped(kernel, type, pass, head_dim, shape, options);
    terms.push_back(terms_of(shape));
    times.push_back(cores * median_seconds(shaped, communicator, seconds));
  }
  const auto cost = nonnegative_least_squares(terms, times);
  return {.type = type,
          .pass = pass,
          .head_dim = head_dim,
          .per_pair = cost[0],
          .per_query = cost[1],
          .per_key = cost[2],
          .per_row = cost[3],
          .per_call = cost[4]};
}

Work work_of(const kernels::Kernel& kernel, DataType type,
             const std::shared_ptr<device::Stream>& stream) {
  constexpr Index head_dim = 64;
  const Shape shape{.queries = 256, .keys = 256, .calls = 1};
  const auto pass = std::make_shared<ShapePass>(
      kernel, type, Pass::forward, head_dim, shape,
      kernels::PassOptions{.key_heads = key_heads, .value_dim = head_dim, .stream = stream});
  return [pass](const kernels::Poll& poll) { pass->forward(poll); };
}

}  // namespace annulus::measure
