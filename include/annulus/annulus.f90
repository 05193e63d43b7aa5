! Annulus for Fortran: the interface of annulus.h, whose comments hold here. Compile this file into
! your program and link annulus_c. Arrays are (dim, head, row); strings end with c_null_char.
module annulus
  use, intrinsic :: iso_c_binding
  implicit none

  integer(c_int), parameter :: annulus_ok = 0, annulus_error = 1, annulus_bad_input = 2

  type, bind(c) :: annulus_problem
    integer(c_int64_t) :: query_heads = 1, key_heads = 0, head_dim = 64, value_dim = 0
    integer(c_int64_t) :: documents = 1
    type(c_ptr) :: query_offsets = c_null_ptr, key_offsets = c_null_ptr
    type(c_ptr) :: mask = c_null_ptr, logit_scale = c_null_ptr
  end type

  type, bind(c) :: annulus_options
    type(c_ptr) :: precision = c_null_ptr, sharding = c_null_ptr, key_sharding = c_null_ptr
    type(c_ptr) :: backend = c_null_ptr
    integer(c_int) :: threads = 0
  end type

  type, bind(c) :: annulus_inputs
    type(c_ptr) :: gain = c_null_ptr, sink = c_null_ptr, logit_scale = c_null_ptr
  end type

  type, bind(c) :: annulus_statistic
    type(c_ptr) :: name = c_null_ptr, values = c_null_ptr
  end type

  type, bind(c) :: annulus_outputs
    type(c_ptr) :: lse = c_null_ptr, statistics = c_null_ptr
    integer(c_int64_t) :: statistic_count = 0
  end type

  interface
    function annulus_message_c() bind(c, name="annulus_message") result(message)
      import :: c_ptr
      type(c_ptr) :: message
    end function

    integer(c_int) function annulus_plan_create(problem, options, ranks, plan) bind(c)
      import :: c_int, c_ptr, annulus_problem, annulus_options
      type(annulus_problem), intent(in) :: problem
      type(annulus_options), intent(in) :: options
      integer(c_int), value :: ranks
      type(c_ptr), intent(out) :: plan
    end function

    subroutine annulus_plan_destroy(plan) bind(c)
      import :: c_ptr
      type(c_ptr), value :: plan
    end subroutine

    integer(c_int) function annulus_plan_rows(plan, rank, query_rows, key_rows) bind(c)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: plan
      integer(c_int), value :: rank
      integer(c_int64_t), intent(out) :: query_rows, key_rows
    end function

    ! Indices count from 0.
    integer(c_int) function annulus_plan_row_indices(plan, rank, query_indices, key_indices) bind(c)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: plan
      integer(c_int), value :: rank
      integer(c_int64_t), intent(out) :: query_indices(*), key_indices(*)
    end function

    integer(c_int) function annulus_plan_memory(plan, rank, backward, bytes) bind(c)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: plan
      integer(c_int), value :: rank, backward
      integer(c_int64_t), intent(out) :: bytes
    end function

    ! `communicator` is the integer of `use mpi`, or comm%mpi_val of `use mpi_f08`.
    integer(c_int) function annulus_attention_create(plan, communicator, attention) &
        bind(c, name="annulus_attention_create_fortran")
      import :: c_int, c_ptr
      type(c_ptr), value :: plan
      integer(c_int), value :: communicator
      type(c_ptr), intent(out) :: attention
    end function

    integer(c_int) function annulus_attention_create_self(plan, attention) bind(c)
      import :: c_int, c_ptr
      type(c_ptr), value :: plan
      type(c_ptr), intent(out) :: attention
    end function

    subroutine annulus_attention_destroy(attention) bind(c)
      import :: c_ptr
      type(c_ptr), value :: attention
    end subroutine

    integer(c_int) function annulus_forward(attention, q, k, v, out, inputs, outputs, keep) bind(c)
      import :: c_int, c_ptr, annulus_inputs, annulus_outputs
      type(c_ptr), value :: attention, q, k, v, out
      type(annulus_inputs), intent(in) :: inputs
      type(annulus_outputs), intent(in) :: outputs
      integer(c_int), value :: keep
    end function

    integer(c_int) function annulus_backward(attention, q, k, v, out, lse, dout, dq, dk, dv, &
        dgain, dsink, inputs) bind(c)
      import :: c_int, c_ptr, annulus_inputs
      type(c_ptr), value :: attention, q, k, v, out, lse, dout, dq, dk, dv, dgain, dsink
      type(annulus_inputs), intent(in) :: inputs
    end function

    integer(c_int) function annulus_cache_create(problem, options, communicator, cache) &
        bind(c, name="annulus_cache_create_fortran")
      import :: c_int, c_ptr, annulus_problem, annulus_options
      type(annulus_problem), intent(in) :: problem
      type(annulus_options), intent(in) :: options
      integer(c_int), value :: communicator
      type(c_ptr), intent(out) :: cache
    end function

    integer(c_int) function annulus_cache_create_self(problem, options, cache) bind(c)
      import :: c_int, c_ptr, annulus_problem, annulus_options
      type(annulus_problem), intent(in) :: problem
      type(annulus_options), intent(in) :: options
      type(c_ptr), intent(out) :: cache
    end function

    subroutine annulus_cache_destroy(cache) bind(c)
      import :: c_ptr
      type(c_ptr), value :: cache
    end subroutine

    integer(c_int) function annulus_cache_next(cache, counts, rows) bind(c)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: cache
      integer(c_int64_t), intent(in) :: counts(*)
      integer(c_int64_t), intent(out) :: rows
    end function

    integer(c_int) function annulus_cache_next_of_plan(cache, plan, rows) bind(c)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: cache, plan
      integer(c_int64_t), intent(out) :: rows
    end function

    integer(c_int) function annulus_cache_tokens(cache, sequences, positions) bind(c)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: cache
      integer(c_int64_t), intent(out) :: sequences(*), positions(*)
    end function

    integer(c_int) function annulus_cache_append(cache, k, v) bind(c)
      import :: c_int, c_ptr
      type(c_ptr), value :: cache, k, v
    end function

    integer(c_int) function annulus_cache_attend(cache, q, out, inputs, outputs) bind(c)
      import :: c_int, c_ptr, annulus_inputs, annulus_outputs
      type(c_ptr), value :: cache, q, out
      type(annulus_inputs), intent(in) :: inputs
      type(annulus_outputs), intent(in) :: outputs
    end function
  end interface

contains

  ! The message of the last call of this thread that failed.
  function annulus_message() result(text)
    character(len=:), allocatable :: text
    character(kind=c_char), pointer :: letters(:)
    integer :: length
    call c_f_pointer(annulus_message_c(), letters, [huge(0)])
    length = 0
    do while (letters(length + 1) /= c_null_char)
      length = length + 1
    end do
    allocate(character(len=length) :: text)
    text = transfer(letters(1:length), text)
  end function
end module
