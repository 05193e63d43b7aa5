#include "annulus/measure/timed_pass.hpp"

#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "attention/random_inputs.hpp"
#include "kernels/rulers/clock.hpp"

namespace annulus::measure {

std::shared_ptr<const TimedInputs> timed_inputs(const Plan& plan, int rank, std::uint64_t seed,
                                                std::shared_ptr<device::Stream> stream) {
  const auto& problem = plan.problem();
  const auto rows = packed_rows(plan.query_shard(rank), problem.documents.query_offsets());
  const auto key_rows = packed_rows(plan.key_shard(rank), problem.documents.key_offsets());
  const auto inputs = std::make_shared<TimedInputs>();
  inputs->stream = std::move(stream);
  with_element(plan.data_type(), [&]<class T>() {
    // One tensor after the other, so that only one exists twice.
    const auto fill = [&](RandomTensor tensor, const std::vector<Index>& which, Index heads,
                          Index dim) {
      const auto values = random_rows<T>(seed, tensor, which, heads * dim);
      const auto count = static_cast<Index>(which.size());
      device::DeviceTensor placed(inputs->stream, data_type_of<T>, count, heads, dim);
      device::upload(*inputs->stream, placed.view(), dense_view(values.data(), count, heads, dim));
      return placed;
    };
    inputs->q = fill(RandomTensor::q, rows, problem.query_heads, problem.head_dim);
    inputs->k = fill(RandomTensor::k, key_rows, problem.key_heads, problem.head_dim);
    inputs->v = fill(RandomTensor::v, key_rows, problem.key_heads, problem.output_dim());
    inputs->dout = fill(RandomTensor::dout, rows, problem.query_heads, problem.output_dim());
  });
  return inputs;
}

TimedPass::TimedPass(const Plan& plan, Pass pass, Statistics statistics,
                     std::shared_ptr<const TimedInputs> inputs, comm::Communicator& communicator,
                     const kernels::Kernel& kernel, int threads)
    : pass_(pass),
      inputs_(std::move(inputs)),
      communicator_(communicator),
      attention_(plan, communicator, kernel, inputs_->stream, threads),
      tensors_(plan, communicator.rank(),
               {.statistics = statistics, .backward = pass == Pass::backward}, inputs_->stream) {
  ensure(pass == Pass::forward || statistics == Statistics::off,
         "statistics are of the forward pass");
  if (pass == Pass::backward) {
    tensors_.forward(attention_, inputs_->views());
    held_ = std::move(tensors_.held());
  }
  attention_.trace(&traces_);
}

TimedPass::Times TimedPass::run(kernels::ClockSamples* clock) {
  using Clock = std::chrono::steady_clock;
  auto& stream = *inputs_->stream;
  auto inputs = inputs_->views();
  if (clock != nullptr && stream.device().kind == DeviceKind::cpu) {
    inputs.poll = [clock] { clock->take_after_work(); };
  }
  // A backward pass uses up what it is given.
  tensors_.held() = held_;
  traces_.clear();
  stream.synchronize();
  communicator_.barrier();
  const auto start = Clock::now();
  const auto start_event = stream.record();
  const auto report = pass_ == Pass::forward ? tensors_.forward(attention_, inputs)
                                             : tensors_.backward(attention_, inputs);
  const auto end_event = stream.record();
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (stream.device().kind == DeviceKind::cuda) {
    stream.synchronize();
    seconds = stream.seconds_between(*start_event, *end_event);
  }
  std::array<double, 2> times{seconds, report.exposed_seconds};
  communicator_.all_reduce(times, comm::Reduction::maximum);
  if (wanted_ != nullptr) wanted_->push_back(traces_.front());
  last_ = rank_run_of(traces_.front(), communicator_.topology(), communicator_.rank());
  return {times[0], times[1]};
}

double TimedPass::flops() const {
  return forward_flops(plan().problem(), visible_area(plan().problem())) *
         (pass_ == Pass::backward ? backward_to_forward_flops : 1);
}

}  // namespace annulus::measure
