#include "simulate/simulation.hpp"

#include <array>
#include <exception>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <smpi/smpi.h>
#include <xbt/log.h>
#include <simgrid/s4u.hpp>

#include "annulus/comm/mpi.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/ring/pass_tensors.hpp"
#include "simulate/network.hpp"
#include "simulate/phantom_stream.hpp"

namespace annulus::simulate {
namespace {

namespace s4u = simgrid::s4u;

constexpr const char* job = "annulus";

/// MPI of one simulated rank. A rank has no threads, which is all that SMPI offers
/// (comm::MpiSession asks for more).
class Mpi {
 public:
  Mpi() { MPI_Init(nullptr, nullptr); }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;
  ~Mpi() {
    if (std::uncaught_exceptions() == 0) MPI_Finalize();
  }
};

/// What all ranks share.
struct Job {
  const Plan& plan;
  Pass pass;
  PassCosts costs;
  SharedArena arena{};
  std::exception_ptr failure{};
};

/// The inputs of a rank.
struct Inputs {
  Inputs(const Plan& plan, int rank, const std::shared_ptr<device::Stream>& stream) {
    const auto& problem = plan.problem();
    const auto make = [&](Index rows, Index heads, Index dim) {
      return device::DeviceTensor(stream, plan.data_type(), rows, heads, dim);
    };
    q = make(plan.query_rows(rank), problem.query_heads, problem.head_dim);
    k = make(plan.key_rows(rank), problem.key_heads, problem.head_dim);
    v = make(plan.key_rows(rank), problem.key_heads, problem.output_dim());
    dout = make(plan.query_rows(rank), problem.query_heads, problem.output_dim());
  }

  [[nodiscard]] PassInputs views() const {
    return {.q = q.view(), .k = k.view(), .v = v.view(), .dout = dout.view()};
  }

  device::DeviceTensor q;
  device::DeviceTensor k;
  device::DeviceTensor v;
  device::DeviceTensor dout;
};

/// What one rank does.
SimulatedRank run_rank(Job& shared) {
  const Mpi mpi;
  auto world = comm::mpi(MPI_COMM_WORLD);
  const auto stream = std::make_shared<PhantomStream>(shared.arena);
  double computed = 0;
  const CostKernel kernel(shared.costs, [&computed](double seconds) {
    computed += seconds;
    s4u::this_actor::sleep_for(seconds);
  });
  RingAttention attention(shared.plan, world, kernel, stream);
  const Inputs inputs(shared.plan, world.rank(), stream);
  const bool backward = shared.pass == Pass::backward;
  PassTensors tensors(shared.plan, world.rank(), {.backward = backward}, stream);
  const auto timed = [&](const auto& pass) {
    world.barrier();
    computed = 0;
    const auto report = pass();
    return SimulatedRank{report, computed};
  };
  const auto forward = timed([&] { return tensors.forward(attention, inputs.views()); });
  if (!backward) return forward;
  return timed([&] { return tensors.backward(attention, inputs.views()); });
}

}  // namespace

std::vector<SimulatedRank> simulate(const Platform& platform, const Plan& plan, Pass pass,
                                    const PassCosts& costs) {
  std::string name = job;
  std::array<char*, 2> arguments{name.data(), nullptr};
  int count = 1;
  s4u::Engine engine(&count, arguments.data());
  xbt_log_control_set("root.thresh:warning");
  configure(platform);
  SMPI_init();
  const auto hosts = make_network(platform);
  SMPI_app_instance_register(job, nullptr, plan.ranks());
  Job shared{.plan = plan, .pass = pass, .costs = costs};
  std::vector<SimulatedRank> ranks(static_cast<std::size_t>(plan.ranks()));
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const auto actor = s4u::Actor::init(fmt::format("rank {}", rank), hosts[rank]);
    actor->set_property("instance_id", job);
    actor->set_property("rank", std::to_string(rank));
    actor->start([&shared, &result = ranks[rank]] {
      try {
        result = run_rank(shared);
      } catch (const std::exception&) {
        if (!shared.failure) shared.failure = std::current_exception();
        s4u::Actor::kill_all();
      }
    });
  }
  engine.run();
  SMPI_finalize();
  if (shared.failure) std::rethrow_exception(shared.failure);
  return ranks;
}

}  // namespace annulus::simulate
