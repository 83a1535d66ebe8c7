// SPDX-License-Identifier: Apache-2.0
// io_pool: a program with threads for calls that block, from its own header alone.
#include <wring/io_pool.h>

#include <unistd.h>

int main() {
  int ends[2];
  if (::pipe(ends) != 0) return 1;
  char byte = 0;
  wring::io_pool pool;
  auto taken = pool.submit_for_result(
      {.unbounded = true}, [&](wring::io_call& call) { return static_cast<long>(call.read(ends[0], &byte, 1)); });
  if (::write(ends[1], "x", 1) != 1) return 1;
  return taken.get() == 1 && byte == 'x' ? 0 : 1;
}
