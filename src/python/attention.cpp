// The engine: passes over the arrays of one rank.
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include "annulus/base/read_option.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "python/engine_options.hpp"
#include "python/forward_arguments.hpp"
#include "python/interrupts.hpp"

namespace annulus::python {
namespace {

using namespace nb::literals;

/// What a forward pass leaves to its backward pass, which uses it up.
struct Held {
  Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  HeldShards shards;
};

class Attention {
 public:
  Attention(const Plan& plan, comm::Communicator& communicator, const std::string& backend,
            const std::string& device, int threads)
      : communicator_(communicator) {
    const auto facts = [&] {
      auto all = facts_of(plan);
      all.insert(all.end(), {{"backend", backend}, {"device", device}});
      return all;
    };
    agree(communicator, facts, [&] {
      const auto kind = device == "auto" ? std::optional<DeviceKind>{} : read_option("device", [&] {
        return std::optional(parse_device_kind(device));
      });
      kernel_ = &backend_of(communicator, backend, plan.data_type(), kind);
      const int rank = communicator.rank();
      stream_ = kernel_->open_stream(place_on_node(communicator.topology(), rank));
      engine_.emplace(plan, communicator, *kernel_, stream_, threads_of(threads, communicator));
    });
  }

  Attention(const Attention&) = delete;
  Attention& operator=(const Attention&) = delete;

  [[nodiscard]] const Plan& plan() const { return engine_->plan(); }
  [[nodiscard]] std::string device() const { return std::string(name_of(kernel_->device())); }

  PassReport forward(nb::handle q, nb::handle k, nb::handle v, nb::handle out,
                     const ForwardArguments& arguments, Held* held,
                     const std::optional<nb::object>& lse_low, Index batch) {
    Arrays arrays(*stream_, batch);
    const auto shapes = this->shapes();
    ConstTensorView q_view;
    ConstTensorView k_view;
    ConstTensorView v_view;
    TensorView out_view;
    TensorView low_view;
    ForwardOptions options;
    const auto convert = [&] {
      const nb::gil_scoped_acquire gil;
      q_view = arrays.input(q, shapes.q());
      k_view = arrays.input(k, shapes.k());
      v_view = arrays.input(v, shapes.v());
      out_view = arrays.output(out, shapes.out());
      if (lse_low) low_view = arrays.output(*lse_low, shapes.of_rows("lse_low"));
      options = arguments.options(arrays, plan().problem(), shapes);
    };
    const bool keeps = held != nullptr || lse_low;
    const nb::gil_scoped_release unlocked;
    agree(
        communicator_, [&] { return arguments.facts("forward", keeps); }, convert);
    HeldShards shards;
    if (keeps) options.held = &shards;
    options.poll = interrupts();
    const auto report = engine_->forward(q_view, k_view, v_view, out_view, options);
    if (low_view.present()) device::download(*stream_, low_view, shards.lse_low.view());
    if (held != nullptr) held->shards = std::move(shards);
    return report;
  }

  PassReport backward(nb::handle q, nb::handle k, nb::handle v, nb::handle out, nb::handle lse,
                      nb::handle dout, const std::optional<nb::object>& dlse, nb::handle dq,
                      nb::handle dk, nb::handle dv, const std::optional<Numbers>& dgain,
                      const std::optional<Numbers>& dsink, const ForwardArguments& arguments,
                      Held* held, const std::optional<nb::object>& lse_low, Index batch) {
    Arrays arrays(*stream_, batch);
    const auto shapes = this->shapes();
    BackwardInputs inputs;
    Gradients gradients;
    const auto convert = [&] {
      const nb::gil_scoped_acquire gil;
      inputs.q = arrays.input(q, shapes.q());
      inputs.k = arrays.input(k, shapes.k());
      inputs.v = arrays.input(v, shapes.v());
      inputs.out = arrays.input(out, shapes.out());
      inputs.lse = arrays.input(lse, shapes.of_rows("lse"));
      inputs.dout = arrays.input(dout, shapes.dout());
      if (dlse) inputs.dlse = arrays.input(*dlse, shapes.of_rows("dlse"));
      gradients.dq = arrays.output(dq, shapes.dq());
      gradients.dk = arrays.output(dk, shapes.dk());
      gradients.dv = arrays.output(dv, shapes.dv());
      gradients.dgain = numbers(dgain, "dgain", shapes.heads);
      gradients.dsink = numbers(dsink, "dsink", shapes.heads);
      const auto options = arguments.options(arrays, plan().problem(), shapes);
      inputs.gain = options.gain;
      inputs.sink = options.sink;
      inputs.logit_scale = options.logit_scale;
      if (held != nullptr) inputs.held = std::exchange(held->shards, {});
      if (lse_low) {
        const auto low = arrays.input(*lse_low, shapes.of_rows("lse_low"));
        inputs.held.lse_low = {stream_, low.type, low.rows, low.heads, 1};
        device::upload(*stream_, inputs.held.lse_low.view(), low);
      }
    };
    const nb::gil_scoped_release unlocked;
    const auto facts = [&] {
      auto all = arguments.facts("backward", inputs.held.present);
      all.emplace_back("dlse", dlse ? "given" : "not given");
      all.emplace_back("dgain", dgain ? "asked for" : "not asked for");
      all.emplace_back("dsink", dsink ? "asked for" : "not asked for");
      return all;
    };
    agree(communicator_, facts, convert);
    inputs.poll = interrupts();
    return engine_->backward(std::move(inputs), gradients);
  }

 private:
  [[nodiscard]] Shapes shapes() const {
    const auto& plan = this->plan();
    const int rank = communicator_.rank();
    return {plan.problem(), plan.data_type(), plan.query_rows(rank), plan.key_rows(rank),
            kernel_->device()};
  }

  comm::Communicator& communicator_;
  const kernels::Kernel* kernel_ = nullptr;
  std::shared_ptr<device::Stream> stream_;
  std::optional<RingAttention> engine_;
};

}  // namespace

void bind_attention(nb::module_& module) {
  bind_forward_arguments(module);
  nb::class_<PassReport>(module, "PassReport", "What a pass of this rank did.")
      .def_ro("seconds", &PassReport::seconds, "wall time of the pass")
      .def_ro("exposed_seconds", &PassReport::exposed_seconds,
              "of it, waiting for transfers with nothing to compute")
      .def_ro("bytes_sent", &PassReport::bytes_sent);
  nb::class_<Held>(module, "Held",
                   "What a forward pass leaves to its backward pass, which uses it up: keys and "
                   "values, and what rounding took from lse.")
      .def(nb::init<>());
  nb::class_<Attention>(module, "Attention")
      .def(
          nb::init<const Plan&, comm::Communicator&, const std::string&, const std::string&, int>(),
          "plan"_a, "communicator"_a, "backend"_a, "device"_a, "threads"_a, nb::keep_alive<1, 3>(),
          nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("plan", &Attention::plan)
      .def_prop_ro("device", &Attention::device)
      .def("forward", &Attention::forward, "q"_a, "k"_a, "v"_a, "out"_a, "arguments"_a,
           "held"_a = nb::none(), "lse_low"_a = nb::none(), "batch"_a = 0)
      .def("backward", &Attention::backward, "q"_a, "k"_a, "v"_a, "out"_a, "lse"_a, "dout"_a,
           "dlse"_a, "dq"_a, "dk"_a, "dv"_a, "dgain"_a, "dsink"_a, "arguments"_a,
           "held"_a = nb::none(), "lse_low"_a = nb::none(), "batch"_a = 0);
}

}  // namespace annulus::python
