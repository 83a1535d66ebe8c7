// SPDX-License-Identifier: Apache-2.0
// heap: memory that is freed forgets what the simulator knew about the words in it.
//
// Otherwise a stale load could return a value of an object that lived there before, and whether it could
// would depend on which addresses malloc uses again: on the process, not on the seed.
#pragma once

namespace wring::sim {

// Makes every delete tell the running simulation. May be called again.
void watch_heap() noexcept;

}  // namespace wring::sim
