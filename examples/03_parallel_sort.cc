// SPDX-License-Identifier: Apache-2.0
// 03_parallel_sort: divide and conquer. Each half is sorted by a child of a task_group, recursively.
//
// wait() runs children that have not started itself, and when it has to block, another worker takes its
// place. So nested waits never deadlock, however deep they are and however few CPUs there are.
#include <wring/wring.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <span>
#include <vector>

namespace {

constexpr std::size_t small_enough = 2'000;  // below this, sorting costs less than handing out halves

// [sort]
void sort(wring::workqueue& queue, std::span<std::uint32_t> values) {
  if (values.size() <= small_enough) {
    std::sort(values.begin(), values.end());
    return;
  }
  const std::size_t half = values.size() / 2;
  wring::task_group halves{queue};
  halves.run([&queue, left = values.first(half)] { sort(queue, left); });
  sort(queue, values.subspan(half));
  halves.wait();
  std::inplace_merge(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(half), values.end());
}
// [/sort]

}  // namespace

int main() {
  std::mt19937 random;
  std::vector<std::uint32_t> values(1'000'000);
  std::generate(values.begin(), values.end(), std::ref(random));
  std::vector<std::uint32_t> expected = values;

  wring::workqueue queue{{.name = "sort"}};
  sort(queue, values);

  std::sort(expected.begin(), expected.end());
  const bool right = values == expected;
  std::printf("%zu numbers, %s\n", values.size(), right ? "in order" : "NOT in order");
  return right ? 0 : 1;
}
