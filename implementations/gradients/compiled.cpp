// The loops over time of `compiled`: of each step one product and one pass over the units.
//
// Everything happens in place. Before the forward loop `gates` holds what does not wait for h; the
// loop adds W_h h and turns it into the activations; the backward loop turns those into dL/du.

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/cpu/vec/vec.h>
#include <ATen/ops/addmm.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using at::Tensor;
using at::vec::Vectorized;

constexpr int64_t GRAIN = 2048;  // units a thread should have at least: a few microseconds of work

// One row of a step: H units of one sequence. A cell with one part has no c; step 0 no dh_before.
template <typename T>
struct Row {
  T* gates;            // blocks of H
  T* h;                // after the step
  const T* h_before;
  T* c;
  const T* c_before;
  T* dh;               // dL/dh of the step
  T* dh_before;        // dL/dh of the step before, which what passes the product by is added to
  T* dc;               // dL/dc, of the step on the way in and of the one before on the way out
  int64_t units;       // H
};

// `count` units of a row, from unit `j`: a whole vector, or what is left at the end of the row.
struct Span {
  int64_t j;
  int64_t count;
};

template <typename T>
Vectorized<T> get(const T* from, Span at) {
  return Vectorized<T>::loadu(from + at.j, at.count);
}

template <typename T>
void put(T* into, Span at, Vectorized<T> value) {
  value.store(into + at.j, at.count);
}

template <typename T>
Vectorized<T> one() {
  return Vectorized<T>(T(1));
}

template <typename T>
Vectorized<T> sigmoid(Vectorized<T> x) {
  return one<T>() / (one<T>() + x.neg().exp());
}

// d(sigmoid)/dx from its value
template <typename T>
Vectorized<T> slope(Vectorized<T> value) {
  return value * (one<T>() - value);
}

// d(tanh)/dx from its value
template <typename T>
Vectorized<T> tanh_slope(Vectorized<T> value) {
  return one<T>() - value * value;
}

// tanh. In float32 the library's own takes as long as four exponentials; here it is made of one, and
// near 0, where 1 would swallow the digits, of Lambert's continued fraction, right to 1e-10 there.
template <typename T>
Vectorized<T> squash(Vectorized<T> x) {
  if constexpr (std::is_same_v<T, double>) {
    return x.tanh();
  } else {
    const auto of = [](double value) { return Vectorized<T>(T(value)); };
    const auto far = of(2) * sigmoid(of(2) * x) - one<T>();
    const auto z = x * x;
    const auto near = x * (of(945) + z * (of(105) + z)) / (of(945) + z * (of(420) + of(15) * z));
    return Vectorized<T>::blendv(far, near, x.abs() < of(0.5));
  }
}

struct Elman {
  static constexpr int64_t blocks = 1, skipped = 0;

  template <typename T>
  static void forward(const Row<T>& row, Span at) {
    put(row.h, at, squash(get(row.gates, at)));
  }

  template <typename T>
  static void backward(const Row<T>& row, Span at) {
    put(row.gates, at, get(row.dh, at) * tanh_slope(get<T>(row.h, at)));
  }
};

// Blocks n, r, z and u_n: the first three make dL/da, the last three dL/du.
struct GRU {
  static constexpr int64_t blocks = 4, skipped = 1;

  template <typename T>
  static void forward(const Row<T>& row, Span at) {
    T *n_at = row.gates, *r_at = n_at + row.units, *z_at = r_at + row.units;
    const auto r = sigmoid(get(r_at, at)), z = sigmoid(get(z_at, at));
    const auto n = squash(get(n_at, at) + r * get(z_at + row.units, at));
    put(n_at, at, n), put(r_at, at, r), put(z_at, at, z);
    put(row.h, at, n + z * (get(row.h_before, at) - n));
  }

  template <typename T>
  static void backward(const Row<T>& row, Span at) {
    T *n_at = row.gates, *r_at = n_at + row.units, *z_at = r_at + row.units, *u_at = z_at + row.units;
    const auto n = get(n_at, at), r = get(r_at, at), z = get(z_at, at), dh = get(row.dh, at);
    const auto dn = dh * (one<T>() - z) * tanh_slope(n);
    put(n_at, at, dn);
    put(r_at, at, dn * get(u_at, at) * slope(r));
    put(z_at, at, dh * (get(row.h_before, at) - n) * slope(z));
    put(u_at, at, dn * r);
    if (row.dh_before) put(row.dh_before, at, get(row.dh_before, at) + dh * z);
  }
};

// Blocks i, f, g, o.
struct LSTM {
  static constexpr int64_t blocks = 4, skipped = 0;

  template <typename T>
  static void forward(const Row<T>& row, Span at) {
    T *i_at = row.gates, *f_at = i_at + row.units, *g_at = f_at + row.units, *o_at = g_at + row.units;
    const auto i = sigmoid(get(i_at, at)), f = sigmoid(get(f_at, at)), o = sigmoid(get(o_at, at));
    const auto g = squash(get(g_at, at)), c = f * get(row.c_before, at) + i * g;
    put(i_at, at, i), put(f_at, at, f), put(g_at, at, g), put(o_at, at, o), put(row.c, at, c);
    put(row.h, at, o * squash(c));
  }

  template <typename T>
  static void backward(const Row<T>& row, Span at) {
    T *i_at = row.gates, *f_at = i_at + row.units, *g_at = f_at + row.units, *o_at = g_at + row.units;
    const auto i = get(i_at, at), f = get(f_at, at), g = get(g_at, at), o = get(o_at, at);
    const auto squashed = squash(get<T>(row.c, at)), dh = get(row.dh, at);
    const auto dc = get(row.dc, at) + dh * o * tanh_slope(squashed);
    put(i_at, at, dc * g * slope(i));
    put(f_at, at, dc * get(row.c_before, at) * slope(f));
    put(g_at, at, dc * i * tanh_slope(g));
    put(o_at, at, dh * squashed * slope(o));
    put(row.dc, at, dc * f);
  }
};

// Calls `one_row` for every sequence of the batch, on as many threads as the units are worth.
template <typename F>
void each_row(int64_t rows, int64_t units, const F& one_row) {
  const int64_t grain = std::max<int64_t>(1, GRAIN / units);
  at::parallel_for(0, rows, grain, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) one_row(row);
  });
}

// Calls `work` for the units of a row, a vector at a time.
template <typename T, typename F>
void each_span(int64_t units, const F& work) {
  constexpr int64_t width = Vectorized<T>::size();
  int64_t j = 0;
  for (; j + width <= units; j += width) work(Span{j, width});
  if (j < units) work(Span{j, units - j});
}

// The tensors of a run, whose steps' rows it finds. Time first, contiguous.
template <typename Cell, typename T>
struct Run {
  T* gates;   // (T, B, blocks H)
  T* hidden;  // (T + 1, B, H)
  T* memory;  // (T + 1, B, H), or none
  T* errors;  // (T, B, H), none on the way forward
  T* dc;      // (B, H), or none
  int64_t batch, units;

  Row<T> row(int64_t t, int64_t b) const {
    const int64_t now = (t * batch + b) * units, next = now + batch * units;
    return Row<T>{gates + now * Cell::blocks,
                  hidden + next,
                  hidden + now,
                  memory ? memory + next : nullptr,
                  memory ? memory + now : nullptr,
                  errors ? errors + now : nullptr,
                  errors && t > 0 ? errors + now - batch * units : nullptr,
                  dc ? dc + b * units : nullptr,
                  units};
  }
};

// What a cell has of c: one tensor, or none.
template <typename T>
T* data_of(at::TensorList part) {
  return part.empty() ? nullptr : part[0].data_ptr<T>();
}

// The blocks that the product with W_h makes or is made of.
template <typename Cell>
std::vector<Tensor> through_hidden(const Tensor& gates, int64_t units) {
  const int64_t from = Cell::skipped * units;
  return gates.narrow(2, from, gates.size(2) - from).unbind(0);
}

// Adds a product to `sum`; not addmm_, which torch's counter of FLOPs does not know.
void accumulate(Tensor sum, const Tensor& left, const Tensor& right) {
  at::addmm_out(sum, sum, left, right);
}

template <typename Cell>
void forward(const Tensor& gates, const Tensor& hidden, at::TensorList memory,
             const Tensor& weight) {
  const int64_t batch = hidden.size(1), units = hidden.size(2);
  const auto products = through_hidden<Cell>(gates, units);
  const auto before = hidden.unbind(0);
  const auto transposed = weight.t().contiguous();  // the faster operand, and but one copy
  AT_DISPATCH_FLOATING_TYPES(gates.scalar_type(), "forward", [&] {
    const Run<Cell, scalar_t> run{gates.data_ptr<scalar_t>(), hidden.data_ptr<scalar_t>(),
                                  data_of<scalar_t>(memory), nullptr, nullptr, batch, units};
    for (size_t t = 0; t < products.size(); ++t) {
      accumulate(products[t], before[t], transposed);
      each_row(batch, units, [&](int64_t b) {
        const auto row = run.row(t, b);
        each_span<scalar_t>(units, [&](Span at) { Cell::forward(row, at); });
      });
    }
  });
}

// Steps `last` - 1 down to `first`. dL/dh of a step is whole once the step after it has been done.
template <typename Cell>
void backward(const Tensor& gates, const Tensor& hidden, at::TensorList memory, const Tensor& weight,
              const Tensor& errors, at::TensorList dc, int64_t first, int64_t last) {
  const int64_t batch = hidden.size(1), units = hidden.size(2);
  AT_DISPATCH_FLOATING_TYPES(gates.scalar_type(), "backward", [&] {
    const Run<Cell, scalar_t> run{gates.data_ptr<scalar_t>(),  hidden.data_ptr<scalar_t>(),
                                  data_of<scalar_t>(memory), errors.data_ptr<scalar_t>(),
                                  data_of<scalar_t>(dc),     batch, units};
    const int64_t from = Cell::skipped * units, width = gates.size(2) - from;
    for (int64_t t = last - 1; t >= first; --t) {
      each_row(batch, units, [&](int64_t b) {
        const auto row = run.row(t, b);
        each_span<scalar_t>(units, [&](Span at) { Cell::backward(row, at); });
      });
      if (t > 0) {
        accumulate(errors.select(0, t - 1), gates.select(0, t).narrow(1, from, width), weight);
      }
    }
  });
}

template <typename Cell>
void define(torch::Library& library, const std::string& cell) {
  const std::string run = "(Tensor(a!) gates, Tensor(b!) hidden, Tensor(c!)[] memory, Tensor weight";
  library.def((cell + "_forward" + run + ") -> ()").c_str(), &forward<Cell>);
  library.def((cell + "_backward" + run + ", Tensor(d!) errors, Tensor(e!)[] dc, int first, int last) -> ()")
                  .c_str(),
              &backward<Cell>);
}

}  // namespace

TORCH_LIBRARY(bptt_bench, library) {
  define<Elman>(library, "elman");
  define<GRU>(library, "gru");
  define<LSTM>(library, "lstm");
}
