// SPDX-License-Identifier: Apache-2.0
// wring: everything.
#pragma once

#include <wring/attributes.h>
#include <wring/blocking.h>
#include <wring/future.h>
#include <wring/identity.h>
#include <wring/io_item.h>
#include <wring/io_pool.h>
#include <wring/io_stats.h>
#include <wring/legacy.h>
#include <wring/result.h>
#include <wring/runtime.h>
#include <wring/stats.h>
#include <wring/system.h>
#include <wring/task_group.h>
#include <wring/version.h>
#include <wring/work.h>
#include <wring/workqueue.h>
