// annulus attend: attention of the q, k, v in an HDF5 file.
#include <array>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/results/attention_input.hpp"
#include "annulus/results/attention_output.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "cli/command.hpp"
#include "cli/options.hpp"
#include "cli/provenance.hpp"
#include "cli/table.hpp"

namespace annulus::cli {
namespace {

/// The arrays of RowStatistics, in the order of the contract of the output file.
struct Statistic {
  const char* name;
  TensorView StatisticsView::*view;
};
constexpr std::array<Statistic, 6> row_statistics{
    {{"entropy", &StatisticsView::entropy},
     {"effective_keys", &StatisticsView::effective_keys},
     {"participation", &StatisticsView::participation},
     {"max_probability", &StatisticsView::max_probability},
     {"max_logit", &StatisticsView::max_logit},
     {"self_probability", &StatisticsView::self_probability}}};

/// What one rank computes.
struct Outputs {
  Tensor out;
  Tensor lse;
  std::array<Tensor, row_statistics.size()> statistics{};
  Tensor dq{};  ///< and the others only with --backward
  Tensor dk{};
  Tensor dv{};
  std::vector<double> dgain{};
  std::vector<double> dsink{};

  [[nodiscard]] StatisticsView statistics_view() {
    StatisticsView view;
    for (std::size_t i = 0; i < row_statistics.size(); ++i) {
      view.*row_statistics[i].view = statistics[i].view();
    }
    return view;
  }
};

template <class T>
void add_values(ConstTensorView view, double& sum, double& least, double& most) {
  for (Index i = 0; i < view.rows; ++i) {
    for (Index h = 0; h < view.heads; ++h) {
      const auto value = static_cast<double>(*view.row<T>(i, h));
      sum += value;
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
}

/// Mean, least and largest over all queries and heads of all ranks. Collective.
std::array<double, 3> summary_of(ConstTensorView view, double count,
                                 comm::Communicator& communicator) {
  double sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  if (view.type == DataType::float64) {
    add_values<double>(view, sum, least, most);
  } else {
    add_values<float>(view, sum, least, most);
  }
  communicator.all_reduce(std::span(&sum, 1), comm::Reduction::sum);
  communicator.all_reduce(std::span(&least, 1), comm::Reduction::minimum);
  communicator.all_reduce(std::span(&most, 1), comm::Reduction::maximum);
  return {sum / count, least, most};
}

/// Row and head of the first NaN, or {-1, -1}. A row whose logits overflow has it everywhere.
template <class T>
std::array<Index, 2> first_nan(ConstTensorView view) {
  for (Index i = 0; i < view.rows; ++i) {
    for (Index h = 0; h < view.heads; ++h) {
      if (std::isnan(*view.row<T>(i, h))) return {i, h};
    }
  }
  return {-1, -1};
}

/// FLOPs of a backward pass: five products where the forward pass has two.
constexpr double backward_to_forward = 2.5;

class Attend final : public Command {
 public:
  void add_options(CLI::App& app) override {
    app.add_option("input", input_, "HDF5 file with /q, /k and /v")->required();
    app.add_option("-o,--output", output_, "HDF5 file to write")->required();
    attention_.add_to(app);
    execution_.add_to(app);
    app.add_flag("--statistics", statistics_, "also write what is measured of each row");
    app.add_flag("--backward", backward_, "also write the gradients for /dout");
    app.add_flag("--overwrite", overwrite_, "replace --output where it exists");
  }

  void check() const override {
    Problem problem;
    attention_.apply(problem);
    (void)execution_.kernel(execution_.plan_options().data_type);
    check_not_the_input(input_, output_);
  }

  int run(const Context& context) const override {
    auto& communicator = context.communicator;
    const results::AttentionInput input(input_, communicator);
    const auto plan = plan_for(input.shape(), communicator.topology());
    const auto& kernel = execution_.kernel(plan.data_type);
    const int threads = execution_.threads_per_rank(communicator.topology(), communicator.rank());
    // Before computing, so that an output that cannot be written costs no time.
    results::AttentionOutput output(
        output_, communicator,
        {.documents = plan.problem.documents,
         .has_batch_axis = input.shape().has_batch_axis,
         .provenance =
             provenance_of(context, config(context, plan, kernel.name()), kernel.name(), threads),
         .existing = overwrite_ ? results::Existing::overwrite : results::Existing::refuse});
    const auto computed = compute(input, plan, communicator, kernel, threads);
    check_numbers(computed.outputs, plan, communicator);
    write(output, computed.outputs, plan, static_cast<std::size_t>(communicator.rank()));
    output.commit();
    print(context, plan, kernel.name(), threads, computed);
    return 0;
  }

 private:
  [[nodiscard]] Plan plan_for(const results::InputShape& shape, const Topology& topology) const {
    Problem problem{.query_heads = shape.query_heads,
                    .key_heads = shape.key_heads,
                    .head_dim = shape.head_dim,
                    .value_dim = shape.value_dim,
                    .documents = shape.documents};
    attention_.apply(problem);
    if (problem.logit_scale.is_table() && !shape.has_logit_scale) {
      throw InputError(fmt::format(
          "{}: /logit_scale is missing; --logit-scale table expected it, (n_q) or (n_q, H)",
          input_));
    }
    if (backward_ && !shape.has_dout) {
      throw InputError(
          fmt::format("{}: /dout is missing; --backward expected it, (n_q, H, d_v)", input_));
    }
    return make_plan(problem, topology, execution_.plan_options());
  }

  /// The effective configuration, as TOML.
  [[nodiscard]] std::string config(const Context& context, const Plan& plan,
                                   std::string_view backend) const {
    const toml::table table{{"input", input_},
                            {"mask", plan.problem.mask.name()},
                            {"logit_scale", plan.problem.logit_scale.name()},
                            {"sharding", name_of(plan.sharding)},
                            {"schedule", "ring"},
                            {"precision", name_of(plan.data_type)},
                            {"device", "cpu"},
                            {"backend", backend},
                            {"transport", context.communicator.name()},
                            {"statistics", statistics_},
                            {"backward", backward_}};
    std::ostringstream text;
    text << table << '\n';
    return text.str();
  }

  struct Computed {
    Outputs outputs;
    PassReport report;    ///< of the forward pass
    PassReport backward;  ///< zeros without one
  };

  /// Collective.
  [[nodiscard]] Computed compute(const results::AttentionInput& input, const Plan& plan,
                                 comm::Communicator& communicator, const kernels::Kernel& kernel,
                                 int threads) const {
    using results::InputRows;
    const auto rank = static_cast<std::size_t>(communicator.rank());
    const auto& query_shard = plan.query_shards[rank];
    const auto& key_shard = plan.key_shards[rank];
    const auto q = input.read_rows(InputRows::q, query_shard, plan.data_type);
    const auto k = input.read_rows(InputRows::k, key_shard, plan.data_type);
    const auto v = input.read_rows(InputRows::v, key_shard, plan.data_type);
    Tensor dout;
    if (backward_) dout = input.read_rows(InputRows::dout, query_shard, plan.data_type);
    std::vector<double> table;
    if (plan.problem.logit_scale.is_table()) table = input.read_logit_scale(query_shard);

    const Index rows = row_count(query_shard);
    const Index heads = plan.problem.query_heads;
    const auto type = accumulator_of(plan.data_type);
    Computed computed{.outputs = {.out = {type, rows, heads, plan.problem.output_dim()},
                                  .lse = {type, rows, heads, 1}},
                      .report = {},
                      .backward = {}};
    auto& outputs = computed.outputs;
    if (statistics_) {
      for (auto& statistic : outputs.statistics) statistic = {type, rows, heads, 1};
    }
    RingAttention attention(plan, communicator, kernel, threads);
    HeldShards held;
    computed.report =
        attention.forward(q.view(), k.view(), v.view(), outputs.out.view(),
                          {.lse = outputs.lse.view(),
                           .statistics = statistics_ ? outputs.statistics_view() : StatisticsView{},
                           .gain = input.shape().gain,
                           .sink = input.shape().sink,
                           .logit_scale = table,
                           .held = backward_ ? &held : nullptr});
    if (backward_) {
      const Index keys = row_count(key_shard);
      outputs.dq = {type, rows, heads, plan.problem.head_dim};
      outputs.dk = {type, keys, plan.problem.key_heads, plan.problem.head_dim};
      outputs.dv = {type, keys, plan.problem.key_heads, plan.problem.output_dim()};
      outputs.dgain.resize(static_cast<std::size_t>(heads));
      outputs.dsink.resize(input.shape().sink.size());
      computed.backward = attention.backward({.q = q.view(),
                                              .k = k.view(),
                                              .v = v.view(),
                                              .out = outputs.out.view(),
                                              .lse = outputs.lse.view(),
                                              .dout = std::as_const(dout).view(),
                                              .gain = input.shape().gain,
                                              .sink = input.shape().sink,
                                              .logit_scale = table,
                                              .held = std::move(held)},
                                             {.dq = outputs.dq.view(),
                                              .dk = outputs.dk.view(),
                                              .dv = outputs.dv.view(),
                                              .dgain = outputs.dgain,
                                              .dsink = outputs.dsink});
    }
    for (auto* report : {&computed.report, &computed.backward}) agree(*report, communicator);
    return computed;
  }

  /// Collective. Finite inputs give NaN only where logits are beyond the range of the type.
  void check_numbers(const Outputs& outputs, const Plan& plan,
                     comm::Communicator& communicator) const {
    comm::together(communicator, [&] {
      const auto lse = outputs.lse.view();
      const auto [i, h] =
          lse.type == DataType::float64 ? first_nan<double>(lse) : first_nan<float>(lse);
      if (i < 0) return;
      const auto rows =
          packed_rows(plan.query_shards[static_cast<std::size_t>(communicator.rank())],
                      plan.problem.documents.query_offsets());
      throw InputError(fmt::format(
          "{}: the logits of query {}, head {} overflow {}; expected smaller /q, /k or scales{}",
          input_, rows[static_cast<std::size_t>(i)], h, name_of(plan.data_type),
          plan.data_type == DataType::float64 ? "" : ", or --precision fp64"));
    });
  }

  /// The slowest rank's times and all ranks' bytes. Collective.
  static void agree(PassReport& report, comm::Communicator& communicator) {
    std::array<double, 2> slowest{report.seconds, report.exposed_seconds};
    communicator.all_reduce(slowest, comm::Reduction::maximum);
    communicator.all_reduce(std::span(&report.bytes_sent, 1), comm::Reduction::sum);
    report.seconds = slowest[0];
    report.exposed_seconds = slowest[1];
  }

  /// Collective.
  void write(results::AttentionOutput& output, const Outputs& outputs, const Plan& plan,
             std::size_t rank) const {
    using results::RowsOf;
    const auto& queries = plan.query_shards[rank];
    output.write_vectors("/out", RowsOf::queries, queries, outputs.out.view());
    output.write_scalars("/lse", RowsOf::queries, queries, outputs.lse.view());
    for (std::size_t i = 0; statistics_ && i < row_statistics.size(); ++i) {
      output.write_scalars(fmt::format("/statistics/{}", row_statistics[i].name), RowsOf::queries,
                           queries, outputs.statistics[i].view());
    }
    if (!backward_) return;
    const auto& keys = plan.key_shards[rank];
    output.write_vectors("/dq", RowsOf::queries, queries, outputs.dq.view());
    output.write_vectors("/dk", RowsOf::keys, keys, outputs.dk.view());
    output.write_vectors("/dv", RowsOf::keys, keys, outputs.dv.view());
    const auto type = accumulator_of(plan.data_type);
    output.write_heads("/dgain", outputs.dgain, type);
    if (!outputs.dsink.empty()) output.write_heads("/dsink", outputs.dsink, type);
  }

  /// Collective, although rank 0 alone prints.
  void print(const Context& context, const Plan& plan, std::string_view backend, int threads,
             const Computed& computed) const {
    const auto& [outputs, report, backward] = computed;
    const auto& problem = plan.problem;
    Table table({"statistic", "mean", "min", "max"});
    const auto count = static_cast<double>(problem.documents.queries() * problem.query_heads);
    if (statistics_ && count > 0) {
      for (std::size_t i = 0; i < row_statistics.size(); ++i) {
        const auto summary = summary_of(outputs.statistics[i].view(), count, context.communicator);
        table.add({cell(std::string(row_statistics[i].name)), cell(summary[0]), cell(summary[1]),
                   cell(summary[2])});
      }
    }
    if (!context.speaks()) return;
    const double flops = cost_of(plan).flops;
    if (context.json) {
      Json json{{"output", output_},
                {"queries", problem.documents.queries()},
                {"keys", problem.documents.keys()},
                {"documents", problem.documents.count()},
                {"heads", problem.query_heads},
                {"key_heads", problem.key_heads},
                {"head_dim", problem.head_dim},
                {"value_dim", problem.output_dim()},
                {"mask", problem.mask.name()},
                {"logit_scale", problem.logit_scale.name()},
                {"ranks", plan.ranks},
                {"threads", threads},
                {"sharding", name_of(plan.sharding)},
                {"steps", plan.steps.size()},
                {"precision", name_of(plan.data_type)},
                {"backend", backend},
                {"seconds", report.seconds},
                {"exposed_seconds", report.exposed_seconds},
                {"flops", flops},
                {"bytes_sent", report.bytes_sent}};
      if (backward_) {
        json["backward"] = {{"seconds", backward.seconds},
                            {"exposed_seconds", backward.exposed_seconds},
                            {"flops", backward_to_forward * flops},
                            {"bytes_sent", backward.bytes_sent}};
      }
      if (statistics_) json["statistics"] = table.json();
      fmt::print("{}\n", json.dump(2));
      return;
    }
    fmt::print("attention  {} queries, {} keys, {} document{}, {} heads on {}, d = {}, d_v = {}\n",
               problem.documents.queries(), problem.documents.keys(), problem.documents.count(),
               problem.documents.count() == 1 ? "" : "s", problem.query_heads, problem.key_heads,
               problem.head_dim, problem.output_dim());
    fmt::print("           mask {}, logit scale {}\n", problem.mask.name(),
               problem.logit_scale.name());
    fmt::print("plan       ranks {}, threads each {}, {} sharding, {} steps, {}, backend {}\n",
               plan.ranks, threads, name_of(plan.sharding), plan.steps.size(),
               name_of(plan.data_type), backend);
    const auto print_pass = [](const char* name, const PassReport& pass, double pass_flops) {
      fmt::print("{:<10} {}, {:.4g} GFLOP/s; {} of it waiting for transfers, {} sent\n", name,
                 seconds_text(pass.seconds), pass_flops / pass.seconds * 1e-9,
                 seconds_text(pass.exposed_seconds),
                 bytes_text(static_cast<double>(pass.bytes_sent)));
    };
    print_pass(backward_ ? "forward" : "time", report, flops);
    if (backward_) print_pass("backward", backward, backward_to_forward * flops);
    if (statistics_) fmt::print("\n{}\n", table.text());
    fmt::print("wrote      {}\n", output_);
  }

  std::string input_;
  std::string output_;
  AttentionOptions attention_;
  ExecutionOptions execution_;
  bool statistics_ = false;
  bool backward_ = false;
  bool overwrite_ = false;
};

}  // namespace

std::unique_ptr<Command> make_attend() {
  return std::make_unique<Attend>();
}

}  // namespace annulus::cli
