// SPDX-License-Identifier: Apache-2.0
// Queueing changes the item.
// expect: no matching (member )?function|discards qualifiers
#include <wring/wring.h>

#ifdef MISUSE
void use(wring::workqueue& queue, const wring::work& item) { queue.queue(item); }
#else
void use(wring::workqueue& queue, wring::work& item) { queue.queue(item); }
#endif
