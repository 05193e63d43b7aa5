#include <utility>

#include "annulus/comm/self.hpp"
#include "c/call.hpp"
#include "c/plan.hpp"

#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#endif

using annulus::c::call;
using annulus::c::given;
using annulus::c::input;
using annulus::c::numbers;
using annulus::c::output;

namespace {

/// A plan is made before the communicator is known, and with it who shares memory with whom.
annulus::Plan plan_on(const annulus::Topology& topology, const annulus_plan& plan) {
  const auto memory = annulus::kernels::peer_memory_of(plan.options.kernel().device());
  return plan.plan.with_schedule(annulus::fitting_schedule(topology, memory), topology);
}

}  // namespace

struct annulus_attention {
  std::unique_ptr<annulus::comm::Communicator> communicator;
  annulus::RingAttention attention;
  annulus::HeldShards held;

  annulus_attention(const annulus_plan& plan,
                    std::unique_ptr<annulus::comm::Communicator> communicator_)
      : communicator(std::move(communicator_)),
        attention(plan_on(communicator->topology(), plan), *communicator, plan.options.kernel(),
                  plan.options.threads_of(*communicator)) {}
};

namespace {

/// The shapes of one rank's arrays.
struct Shapes {
  annulus::Index rows;
  annulus::Index keys;
  annulus::Index heads;
  annulus::Index key_heads;
  annulus::Index d;
  annulus::Index d_v;
  annulus::DataType type;
  annulus::DataType sums;

  explicit Shapes(const annulus_attention& attention)
      : Shapes(attention.attention.plan(), attention.communicator->rank()) {}
  Shapes(const annulus::Plan& plan, int rank)
      : rows(plan.query_rows(rank)),
        keys(plan.key_rows(rank)),
        heads(plan.problem().query_heads),
        key_heads(plan.problem().key_heads),
        d(plan.problem().head_dim),
        d_v(plan.problem().output_dim()),
        type(plan.data_type()),
        sums(annulus::accumulator_of(plan.data_type())) {}
};

/// Makes an attention over the ranks that `make` returns, which must be those of the plan.
template <class Make>
int create(const annulus_plan* plan, annulus_attention** attention, Make make) {
  return call([&] {
    annulus_attention*& result = given(attention, "attention");
    const auto& known = given(plan, "plan");
    result = std::make_unique<annulus_attention>(known, make()).release();
  });
}

}  // namespace

#if ANNULUS_HAVE_MPI
int annulus_attention_create(const annulus_plan* plan, MPI_Comm communicator,
                             annulus_attention** attention) {
  return create(plan, attention,
                [&] { return std::make_unique<annulus::comm::MpiCommunicator>(communicator); });
}
#endif

int annulus_attention_create_fortran(const annulus_plan* plan, int communicator,
                                     annulus_attention** attention) {
  return create(plan, attention, [&] { return annulus::c::fortran_communicator(communicator); });
}

int annulus_attention_create_self(const annulus_plan* plan, annulus_attention** attention) {
  return create(plan, attention,
                [] { return std::make_unique<annulus::comm::SelfCommunicator>(); });
}

void annulus_attention_destroy(annulus_attention* attention) {
  delete attention;
}

int annulus_forward(annulus_attention* attention, const void* q, const void* k, const void* v,
                    void* out, const annulus_inputs* inputs, const annulus_outputs* outputs,
                    int keep) {
  return call([&] {
    auto& engine = given(attention, "attention");
    const Shapes s(engine);
    auto options = annulus::c::forward_options(inputs, outputs, engine.attention.plan().problem(),
                                               s.sums, s.rows);
    engine.held = {};
    if (keep != 0) options.held = &engine.held;
    engine.attention.forward(input(q, "q", s.type, s.rows, s.heads, s.d),
                             input(k, "k", s.type, s.keys, s.key_heads, s.d),
                             input(v, "v", s.type, s.keys, s.key_heads, s.d_v),
                             output(out, "out", s.sums, s.rows, s.heads, s.d_v), options);
  });
}

int annulus_backward(annulus_attention* attention, const void* q, const void* k, const void* v,
                     const void* out, const void* lse, const void* dout, void* dq, void* dk,
                     void* dv, double* dgain, double* dsink, const annulus_inputs* inputs) {
  return call([&] {
    auto& engine = given(attention, "attention");
    const Shapes s(engine);
    const auto given_inputs = annulus::c::forward_options(
        inputs, nullptr, engine.attention.plan().problem(), s.sums, s.rows);
    engine.attention.backward({.q = input(q, "q", s.type, s.rows, s.heads, s.d),
                               .k = input(k, "k", s.type, s.keys, s.key_heads, s.d),
                               .v = input(v, "v", s.type, s.keys, s.key_heads, s.d_v),
                               .out = input(out, "out", s.sums, s.rows, s.heads, s.d_v),
                               .lse = input(lse, "lse", s.sums, s.rows, s.heads, 1),
                               .dout = input(dout, "dout", s.type, s.rows, s.heads, s.d_v),
                               .gain = given_inputs.gain,
                               .sink = given_inputs.sink,
                               .logit_scale = given_inputs.logit_scale,
                               .held = std::exchange(engine.held, {})},
                              {.dq = output(dq, "dq", s.sums, s.rows, s.heads, s.d),
                               .dk = output(dk, "dk", s.sums, s.keys, s.key_heads, s.d),
                               .dv = output(dv, "dv", s.sums, s.keys, s.key_heads, s.d_v),
                               .dgain = numbers(dgain, s.heads),
                               .dsink = numbers(dsink, s.heads)});
  });
}
