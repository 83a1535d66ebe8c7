# SPDX-License-Identifier: Apache-2.0
# rcu: items after a grace period; a library of its own, on liburcu.
set(WRING_RCU_SOURCES
    rcu/grace_period.cc
    rcu/rcu_work.cc)
