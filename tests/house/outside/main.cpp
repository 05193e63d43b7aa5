// A program that uses an installed Annulus: causal attention of equal keys on three ranks, whose
// output is the running mean of the values.
#include <annulus/annulus.hpp>
#include <cmath>
#include <cstdio>
#include <vector>

int main() {
  const annulus::Problem problem{.query_heads = 2,
                                 .key_heads = 1,
                                 .head_dim = 4,
                                 .value_dim = 1,
                                 .documents = annulus::Documents::single(7),
                                 .mask = annulus::Mask::causal(),
                                 .logit_scale = annulus::LogitScale::critical(2.0)};
  double worst = 0;
  annulus::comm::run_threads(3, [&](annulus::comm::Communicator& world) {
    const auto plan = annulus::make_plan(problem, world.topology());
    const int rank = world.rank();
    const auto rows =
        annulus::packed_rows(plan.query_shard(rank), problem.documents.query_offsets());
    const auto count = static_cast<annulus::Index>(rows.size());
    std::vector<float> q(rows.size() * 8, 1.0F);
    std::vector<float> k(rows.size() * 4, 1.0F);
    std::vector<float> v(rows.begin(), rows.end());
    std::vector<float> out(rows.size() * 2);
    annulus::RingAttention attention(plan, world, annulus::Device::cpu());
    attention.forward(
        annulus::dense_view(q.data(), count, 2, 4), annulus::dense_view(k.data(), count, 1, 4),
        annulus::dense_view(v.data(), count, 1, 1), annulus::dense_view(out.data(), count, 2, 1));
    double error = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      error = std::max(error, std::abs(out[i] - static_cast<double>(rows[i / 2]) / 2));
    }
    world.all_reduce(std::span(&error, 1), annulus::comm::Reduction::maximum);
    if (world.rank() == 0) worst = error;
  });
  std::printf("annulus %s: error %g\n", std::string(annulus::version()).c_str(), worst);
  return worst < 1e-5 ? 0 : 1;
}
