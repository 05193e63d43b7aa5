! Causal attention over a sequence that is spread over the ranks of MPI_COMM_WORLD, from Fortran.
! With equal keys a query sees the mean of the values up to its own, and the entropy is the logarithm
! of their number.
program example
  use, intrinsic :: iso_c_binding
  use annulus
  use mpi
  implicit none
  integer, parameter :: n = 37, d = 4
  integer(c_int64_t), target :: offsets(2) = [0, n]
  character(kind=c_char), target :: mask(7) = ["c", "a", "u", "s", "a", "l", c_null_char]
  character(kind=c_char), target :: precision(5) = ["f", "p", "6", "4", c_null_char]
  character(kind=c_char), target :: wrong(2) = ["x", c_null_char]
  type(annulus_problem) :: problem
  type(annulus_options) :: options
  type(c_ptr) :: plan, attention
  integer(c_int64_t) :: rows, keys
  integer(c_int64_t) :: query_indices(n), key_indices(n)
  real(c_double), allocatable, target :: q(:, :, :), k(:, :, :), v(:, :, :), out(:, :, :)
  character(kind=c_char), target :: entropy_name(8) = ["e", "n", "t", "r", "o", "p", "y", c_null_char]
  real(c_double), allocatable, target :: entropy(:, :)
  type(annulus_statistic), target :: statistic
  real(c_double) :: error
  integer :: code, rank, ranks, i

  call MPI_Init(code)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, code)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks, code)

  problem%head_dim = d
  problem%query_offsets = c_loc(offsets)
  problem%mask = c_loc(wrong)
  options%precision = c_loc(precision)
  if (annulus_plan_create(problem, options, ranks, plan) /= annulus_bad_input) stop 2
  if (index(annulus_message(), "mask") /= 1) stop 3
  problem%mask = c_loc(mask)
  call check(annulus_plan_create(problem, options, ranks, plan))
  call check(annulus_plan_rows(plan, rank, rows, keys))
  call check(annulus_plan_row_indices(plan, rank, query_indices, key_indices))

  allocate(q(d, 1, max(rows, 1_c_int64_t)), k(d, 1, max(keys, 1_c_int64_t)))
  allocate(v(d, 1, max(keys, 1_c_int64_t)), out(d, 1, max(rows, 1_c_int64_t)))
  q = 1
  k = 1
  do i = 1, int(keys)
    v(:, 1, i) = real(key_indices(i), c_double)
  end do
  call check(annulus_attention_create(plan, MPI_COMM_WORLD, attention))
  allocate(entropy(1, max(rows, 1_c_int64_t)))
  statistic = annulus_statistic(c_loc(entropy_name), c_loc(entropy))
  call check(annulus_forward(attention, c_loc(q), c_loc(k), c_loc(v), c_loc(out), annulus_inputs(), &
                             annulus_outputs(c_null_ptr, c_loc(statistic), 1), 0_c_int))
  error = 0
  do i = 1, int(rows)
    error = max(error, maxval(abs(out(:, 1, i) - real(query_indices(i), c_double) / 2)), &
                abs(entropy(1, i) - log(real(query_indices(i) + 1, c_double))))
  end do
  call MPI_Allreduce(MPI_IN_PLACE, error, 1, MPI_DOUBLE_PRECISION, MPI_MAX, MPI_COMM_WORLD, code)
  if (rank == 0) print "(a, es8.1)", "largest error: ", error
  call annulus_attention_destroy(attention)
  call annulus_plan_destroy(plan)
  call MPI_Finalize(code)
  if (error > 1e-12) stop 1

contains

  subroutine check(failure)
    integer(c_int), intent(in) :: failure
    if (failure == annulus_ok) return
    print "(a)", annulus_message()
    call MPI_Abort(MPI_COMM_WORLD, failure, code)
  end subroutine
end program
