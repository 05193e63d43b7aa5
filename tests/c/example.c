/* Attention over a sequence that is spread over the ranks of MPI_COMM_WORLD, from C: forward,
 * backward, and decode over a cache. Every rank compares its rows with the definition.
 *
 *   mpicc example.c -lannulus_c -lm && mpirun -n 3 ./a.out
 */
#include <annulus/annulus.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { n = 101, heads = 4, key_heads = 2, d = 8, prefix = 70 };

static int rank = 0;
static int ranks = 1;

/* Ends the job with the message of a call that failed. */
static void check(int code, const char* what) {
  if (code == ANNULUS_OK) return;
  fprintf(stderr, "rank %d: %s: %s\n", rank, what, annulus_message());
#ifdef ANNULUS_WITHOUT_MPI
  exit(code);
#else
  MPI_Abort(MPI_COMM_WORLD, code);
#endif
}

/* Tensors that every rank can compute: q is tensor 0, k 1, v 2 and dout 3. */
static double element(int tensor, int64_t row, int head, int c) {
  return sin(1.0 + 12.9898 * (double)row + 78.233 * head + 37.719 * c + 4.581 * tensor);
}

/* Rows `rows` of a tensor, (count, tensor_heads, d). The caller frees. */
static double* rows_of(int tensor, const int64_t* rows, int64_t count, int tensor_heads) {
  double* values = malloc(sizeof(double) * (size_t)(count * tensor_heads * d + 1));
  for (int64_t i = 0; i < count; ++i) {
    for (int h = 0; h < tensor_heads; ++h) {
      for (int c = 0; c < d; ++c) {
        values[(i * tensor_heads + h) * d + c] = element(tensor, rows[i], h, c);
      }
    }
  }
  return values;
}

static double* zeros(int64_t count) {
  return calloc((size_t)count + 1, sizeof(double));
}

/* Row `row`, head h of causal attention with beta = ln n and base 1 / sqrt(d), by its definition. */
static void exact_row(int64_t row, int h, double* out) {
  double logits[n];
  double largest = -INFINITY;
  double sum = 0;
  const int key_head = h / (heads / key_heads);
  for (int64_t j = 0; j <= row; ++j) {
    double product = 0;
    for (int c = 0; c < d; ++c) product += element(0, row, h, c) * element(1, j, key_head, c);
    logits[j] = log(n) / sqrt(d) * product;
    largest = fmax(largest, logits[j]);
  }
  for (int c = 0; c < d; ++c) out[c] = 0;
  for (int64_t j = 0; j <= row; ++j) sum += exp(logits[j] - largest);
  for (int64_t j = 0; j <= row; ++j) {
    const double p = exp(logits[j] - largest) / sum;
    for (int c = 0; c < d; ++c) out[c] += p * element(2, j, key_head, c);
  }
}

/* The largest error of rows `rows` of out. */
static double error_of(const double* out, const int64_t* rows, int64_t count) {
  double error = 0;
  double exact[d];
  for (int64_t i = 0; i < count; ++i) {
    for (int h = 0; h < heads; ++h) {
      exact_row(rows[i], h, exact);
      for (int c = 0; c < d; ++c) {
        error = fmax(error, fabs(out[(i * heads + h) * d + c] - exact[c]));
      }
    }
  }
  return error;
}

static double sum_over_ranks(double value) {
#ifndef ANNULUS_WITHOUT_MPI
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
#endif
  return value;
}

int main(int argc, char** argv) {
#ifdef ANNULUS_WITHOUT_MPI
  (void)argc;
  (void)argv;
#else
  int provided;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
#endif

  /* A plan says who holds what. */
  const int64_t offsets[] = {0, n};
  annulus_problem problem = {0};
  problem.query_heads = heads;
  problem.key_heads = key_heads;
  problem.head_dim = d;
  problem.documents = 1;
  problem.query_offsets = offsets;
  problem.mask = "causal";
  problem.logit_scale = "critical:gamma=1,base=rsqrt_d";
  annulus_options options = {0};
  options.precision = "fp64";
  annulus_plan* plan = NULL;
  check(annulus_plan_create(&problem, &options, ranks, &plan), "plan");
  int64_t rows = 0;
  int64_t keys = 0;
  check(annulus_plan_rows(plan, rank, &rows, &keys), "rows");
  int64_t query_indices[n];
  int64_t key_indices[n];
  check(annulus_plan_row_indices(plan, rank, query_indices, key_indices), "indices");
  if (rank == 0) {
    char text[4096];
    check(annulus_plan_text(plan, text, sizeof text, NULL), "text");
    fputs(text, stdout);
  }

  /* Forward and backward. */
  annulus_attention* attention = NULL;
#ifdef ANNULUS_WITHOUT_MPI
  check(annulus_attention_create_self(plan, &attention), "attention");
#else
  check(annulus_attention_create(plan, MPI_COMM_WORLD, &attention), "attention");
#endif
  double* q = rows_of(0, query_indices, rows, heads);
  double* k = rows_of(1, key_indices, keys, key_heads);
  double* v = rows_of(2, key_indices, keys, key_heads);
  double* dout = rows_of(3, query_indices, rows, heads);
  double* out = zeros(rows * heads * d);
  double* lse = zeros(rows * heads);
  double* dq = zeros(rows * heads * d);
  double* dk = zeros(keys * key_heads * d);
  double* dv = zeros(keys * key_heads * d);
  double dgain[heads];
  annulus_outputs outputs = {0};
  outputs.lse = lse;
  check(annulus_forward(attention, q, k, v, out, NULL, &outputs, 1), "forward");
  check(annulus_backward(attention, q, k, v, out, lse, dout, dq, dk, dv, dgain, NULL, NULL),
        "backward");
  const double forward_error = sum_over_ranks(error_of(out, query_indices, rows));

  /* out is linear in v, so <dv, v> is <dout, out>; logits are linear in q, in k and in the gain, so
   * <dq, q>, <dk, k> and the sum of dgain are the same. */
  double of_v = 0;
  double of_out = 0;
  double of_q = 0;
  double of_k = 0;
  double of_gain = 0;
  for (int64_t i = 0; i < rows * heads * d; ++i) of_out += dout[i] * out[i];
  for (int64_t i = 0; i < rows * heads * d; ++i) of_q += dq[i] * q[i];
  for (int64_t i = 0; i < keys * key_heads * d; ++i) of_v += dv[i] * v[i];
  for (int64_t i = 0; i < keys * key_heads * d; ++i) of_k += dk[i] * k[i];
  for (int h = 0; h < heads; ++h) of_gain += dgain[h];
  of_out = sum_over_ranks(of_out);
  of_q = sum_over_ranks(of_q);
  of_v = sum_over_ranks(of_v);
  of_k = sum_over_ranks(of_k);
  const double backward_error =
      fabs(of_v - of_out) + fabs(of_k - of_q) + fabs(of_gain - of_q) + (fabs(of_q) > 1e-3 ? 0 : 1);

  /* Decode: a chunk of `prefix` tokens, then one by one. */
  annulus_cache* cache = NULL;
#ifdef ANNULUS_WITHOUT_MPI
  check(annulus_cache_create_self(&problem, &options, &cache), "cache");
#else
  check(annulus_cache_create(&problem, &options, MPI_COMM_WORLD, &cache), "cache");
#endif
  double decode_error = 0;
  for (int64_t there = 0; there < n;) {
    const int64_t count = there == 0 ? prefix : 1;
    int64_t positions[n];
    int64_t mine = 0;
    check(annulus_cache_next(cache, &count, &mine), "next");
    check(annulus_cache_tokens(cache, NULL, positions), "tokens");
    double* new_q = rows_of(0, positions, mine, heads);
    double* new_k = rows_of(1, positions, mine, key_heads);
    double* new_v = rows_of(2, positions, mine, key_heads);
    double* new_out = zeros(mine * heads * d);
    check(annulus_cache_append(cache, new_k, new_v), "append");
    check(annulus_cache_attend(cache, new_q, new_out, NULL, NULL), "attend");
    decode_error = fmax(decode_error, error_of(new_out, positions, mine));
    free(new_q);
    free(new_k);
    free(new_v);
    free(new_out);
    there += count;
  }
  decode_error = sum_over_ranks(decode_error);

  if (rank == 0) {
    printf("largest errors: forward %.1e, backward %.1e, decode %.1e\n", forward_error,
           backward_error, decode_error);
  }
  annulus_cache_destroy(cache);
  annulus_attention_destroy(attention);
  annulus_plan_destroy(plan);
  free(q);
  free(k);
  free(v);
  free(dout);
  free(out);
  free(lse);
  free(dq);
  free(dk);
  free(dv);
#ifndef ANNULUS_WITHOUT_MPI
  MPI_Finalize();
#endif
  return forward_error < 1e-12 && backward_error < 1e-10 && decode_error < 1e-12 ? 0 : 1;
}
