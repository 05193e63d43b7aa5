/* Annulus for C, and with it for Fortran (annulus.f90) and whatever calls C.
 *
 * Every function that returns int returns ANNULUS_OK, or a code that says what is wrong;
 * annulus_message() then has one line about it. Arrays are dense and row-major, C[row][head][dim],
 * which is Fortran's (dim, head, row); they are borrowed for the call. Handles are not shared
 * between threads. Calls marked collective are made by all ranks of the communicator in the same
 * order; where one fails with ANNULUS_ERROR on some ranks alone, end the job with MPI_Abort, as the
 * others wait. */
#ifndef ANNULUS_ANNULUS_H
#define ANNULUS_ANNULUS_H

#include <stddef.h>
#include <stdint.h>

#ifndef ANNULUS_WITHOUT_MPI
#include <mpi.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ANNULUS_OK = 0,
  ANNULUS_ERROR = 1,     /* a run that failed */
  ANNULUS_BAD_INPUT = 2  /* an argument or option that makes no sense or cannot be honoured */
};

/* The message of the last call of this thread that failed; "" where none has. It stays until the
 * next one fails. */
const char* annulus_message(void);

/* major.minor.patch */
const char* annulus_version(void);

/* What is to be computed. Zero-initialise it, then set what differs. */
typedef struct annulus_problem {
  int64_t query_heads;          /* H, a multiple of key_heads */
  int64_t key_heads;            /* G; 0: as many as query heads */
  int64_t head_dim;             /* d of queries and keys */
  int64_t value_dim;            /* d_v of values and outputs; 0: head_dim */
  int64_t documents;            /* D, at least 1 */
  const int64_t* query_offsets; /* D + 1 cumulated lengths, from 0 */
  const int64_t* key_offsets;   /* likewise; NULL: as the queries */
  const char* mask;             /* "full", "causal", "window:LEFT", "window:LEFT,RIGHT"; NULL: full */
  const char* logit_scale;      /* "NAME[:key=value,...]"; NULL: none */
} annulus_problem;

/* How it is computed. NULL and 0 stand for the defaults. */
typedef struct annulus_options {
  const char* precision;    /* of q, k, v and dout: "fp32", "fp64", "bf16", "fp16"; NULL: fp32 */
  const char* sharding;     /* "contiguous", "zigzag", "striped", "balanced"; NULL: the cheapest */
  const char* key_sharding; /* of keys and values; NULL: as the queries */
  const char* backend;      /* a name that `annulus info` lists; NULL: the fastest on the CPU */
  int threads;              /* of each rank; 0: the cores of its node shared by its ranks */
} annulus_options;

/* ---- plans: who holds which rows, and what moves when; no communication ---- */

typedef struct annulus_plan annulus_plan;

/* Plans for `ranks` ranks. `options` may be NULL. The plan keeps nothing of its arguments. */
int annulus_plan_create(const annulus_problem* problem, const annulus_options* options, int ranks,
                        annulus_plan** plan);
void annulus_plan_destroy(annulus_plan* plan);

/* Rows of queries and of keys that `rank` holds. */
int annulus_plan_rows(const annulus_plan* plan, int rank, int64_t* query_rows, int64_t* key_rows);

/* Which rows of the packed sequence those are, in the order in which the rank holds them: arrays of
 * as many numbers. Either may be NULL. */
int annulus_plan_row_indices(const annulus_plan* plan, int rank, int64_t* query_indices,
                             int64_t* key_indices);

/* Bytes that `rank` holds during a pass, its inputs and outputs included, where every rank is on a
 * node of its own. */
int annulus_plan_memory(const annulus_plan* plan, int rank, int backward, int64_t* bytes);

/* The plan as text. Writes at most `capacity` bytes, the last a 0, and sets *needed to the bytes of
 * the whole text with its 0. `text` may be NULL where capacity is 0. */
int annulus_plan_text(const annulus_plan* plan, char* text, size_t capacity, size_t* needed);

/* ---- attention by the ranks of a communicator ---- */

typedef struct annulus_attention annulus_attention;

/* Collective. Keeps a copy of the plan and a duplicate of the communicator. Ranks that share a node
 * read each other's keys in place, where every node has as many ranks; shards stay as they are. MPI
 * must be initialised with at least MPI_THREAD_FUNNELED. */
#ifndef ANNULUS_WITHOUT_MPI
int annulus_attention_create(const annulus_plan* plan, MPI_Comm communicator,
                             annulus_attention** attention);
#endif
/* The same with a Fortran communicator (an integer). */
int annulus_attention_create_fortran(const annulus_plan* plan, int communicator,
                                     annulus_attention** attention);
/* For a plan of one rank, without MPI. */
int annulus_attention_create_self(const annulus_plan* plan, annulus_attention** attention);

/* Collective, as MPI_Comm_free is; before MPI_Finalize. */
void annulus_attention_destroy(annulus_attention* attention);

/* What may be given besides q, k and v. Zero-initialise it. */
typedef struct annulus_inputs {
  const double* gain;        /* (H): multiplies the logits of a head; NULL: 1 */
  const double* sink;        /* (H): logits of the sinks; NULL: none */
  const double* logit_scale; /* (rows, H): beta of the policy "table"; else NULL */
} annulus_inputs;

/* A statistic of the rows by name, and where it is written. */
typedef struct annulus_statistic {
  const char* name; /* one of annulus_statistic_name */
  void* values;     /* (rows, H), in the type of out */
} annulus_statistic;

/* The names of the statistics, for index 0, 1, ...; NULL where there are no more. */
const char* annulus_statistic_name(int index);

/* What a forward pass writes besides out. Zero-initialise it. */
typedef struct annulus_outputs {
  void* lse;                           /* (rows, H), in the type of out; NULL: not wanted */
  const annulus_statistic* statistics; /* those that are wanted */
  int64_t statistic_count;             /* how many those are */
} annulus_outputs;

/* Collective. q (rows, H, d), k (keys, G, d), v (keys, G, d_v) are the rank's rows in the precision
 * of the plan; out (rows, H, d_v) is fp64 for fp64, else fp32. With `keep`, the keys and values that
 * the pass held last stay for annulus_backward, and what rounding took from lse. `inputs` and
 * `outputs` may be NULL. With the backend "cuda", arrays of rows may lie in memory of the rank's GPU
 * (the GPUs of a node are given to its ranks in turn), which is used in place; the work that fills
 * them must be done. */
int annulus_forward(annulus_attention* attention, const void* q, const void* k, const void* v,
                    void* out, const annulus_inputs* inputs, const annulus_outputs* outputs,
                    int keep);

/* Collective. Gradients of the sum of dout * out over all ranks. out and lse are what the forward
 * pass wrote, dout (rows, H, d_v) is in the precision of the plan, everything that is written in the
 * type of out; dgain (H) and dsink (H) are sums over all ranks, or NULL on all of them. What the
 * forward pass kept is used up; where it kept nothing, keys and values are fetched again, and
 * gradients lose as many roundings as |lse| has. */
int annulus_backward(annulus_attention* attention, const void* q, const void* k, const void* v,
                     const void* out, const void* lse, const void* dout, void* dq, void* dk,
                     void* dv, double* dgain, double* dsink, const annulus_inputs* inputs);

/* ---- decode: a cache of keys and values that grows ---- */

typedef struct annulus_cache annulus_cache;

/* Collective. An empty cache of problem->documents sequences. Their lengths in key_offsets (or
 * query_offsets) are those that they have in the end, which logit scales with length=global see; a
 * length of 0: not known, the tokens so far count. options->sharding and key_sharding are NULL. */
#ifndef ANNULUS_WITHOUT_MPI
int annulus_cache_create(const annulus_problem* problem, const annulus_options* options,
                         MPI_Comm communicator, annulus_cache** cache);
#endif
int annulus_cache_create_fortran(const annulus_problem* problem, const annulus_options* options,
                                 int communicator, annulus_cache** cache);
int annulus_cache_create_self(const annulus_problem* problem, const annulus_options* options,
                              annulus_cache** cache);
/* Collective, as MPI_Comm_free is; before MPI_Finalize. */
void annulus_cache_destroy(annulus_cache* cache);

/* Chooses who takes which of the next counts[b] tokens of each sequence b, the same counts on all
 * ranks, and sets *rows to the rank's. They are the tokens that the calls below are about. */
int annulus_cache_next(annulus_cache* cache, const int64_t* counts, int64_t* rows);
/* The same for the tokens of a prefill by annulus_forward: who holds its keys keeps them. The
 * documents of the plan are the sequences, of which the cache has no tokens yet. */
int annulus_cache_next_of_plan(annulus_cache* cache, const annulus_plan* plan, int64_t* rows);
/* Sequence and position of each of the rank's rows. Either may be NULL. */
int annulus_cache_tokens(const annulus_cache* cache, int64_t* sequences, int64_t* positions);

/* Appends k (rows, G, d) and v (rows, G, d_v) of these tokens. No communication. */
int annulus_cache_append(annulus_cache* cache, const void* k, const void* v);

/* Collective. Attention of the queries q (rows, H, d) of these tokens over all that is in the
 * cache; out (rows, H, d_v) and the rest as in annulus_forward. */
int annulus_cache_attend(annulus_cache* cache, const void* q, void* out,
                         const annulus_inputs* inputs, const annulus_outputs* outputs);

#ifdef __cplusplus
}
#endif

#endif
