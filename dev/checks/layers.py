# SPDX-License-Identifier: Apache-2.0
"""layers: who may include whom, and who may name threads and atomics."""
import re

from . import cpp
from .tree import Finding, findings_in

CLAIM = "includes follow the arrows; only the shells name threads, atomics and system calls"

# src/<layer> -> the layers whose headers it may include.
ARROWS = {
    "base": {"base"},
    "sched": {"sched", "base"},
    "workqueue": {"workqueue", "sched", "base"},
    "iowq": {"iowq", "sched", "base"},
    "sim": {"sim", "base"},
    "rcu": {"rcu", "base"},  # of base what is inline; libwring.so gives away nothing else. wring by its public headers
}
SIMULATED_DOOR = "src/base/sync_sim.h"  # base's one way up, in the simulator's build only
OUTSIDE = ("tools", "examples", "bench")  # see only include/wring and their own folder

# The door, the simulator, which stands in for the machine, and the door to liburcu.
SHELLS = re.compile(r"src/base/((sync|clock|syscall)\w*\.(h|cc)|"
                    r"(fork|interruptible|thread_exit|thread_identity|thread_state|thread_watch)_real\.cc)$|"
                    r"src/sim/|src/rcu/grace_period\.cc$")
# Name system calls by number; base/interruptible.h makes them.
BY_NUMBER = {"src/iowq/call.cc"}
NUMBER = re.compile(r"SYS_\w+|<sys/syscall\.h>")
NOTHING = re.compile(r"(?!)")
BARE = re.compile(
    r"\bstd::(atomic\w*|j?thread|this_thread|(recursive_|shared_|timed_)*mutex|condition_variable\w*|call_once|"
    r"memory_order\w*|counting_semaphore|binary_semaphore|latch|barrier)\b|\bthread_local\b|\bmemory_order_\w+|"
    r"\bSYS_\w+|\bsyscall\s*\(|\bpthread_\w+|\b__atomic_\w+|\b__sync_\w+|\bclock_gettime\b|\b\w+_clock::now\b|"
    r"<(atomic|thread|mutex|shared_mutex|condition_variable|semaphore|latch|barrier|pthread\.h|sys/syscall\.h|"
    r"linux/futex\.h)>")


def _include_findings(tree, name, text):
    parts = name.split("/")
    for line, included, quoted in cpp.includes(text):
        first = included.split("/")[0]
        if parts[0] == "include":
            if quoted or ("/" in included and first not in ("wring", "sys")):
                yield Finding(name, line, f"a public header includes {included}: only <wring/...> and std")
        elif parts[0] == "src" and quoted:
            if first not in ARROWS.get(parts[1], ()) and not (name == SIMULATED_DOOR and first == "sim"):
                yield Finding(name, line, f"{parts[1]} must not include {included}")
            elif not (tree.root / "src" / included).is_file():
                yield Finding(name, line, f"{included} does not exist below src/")
        elif parts[0] in OUTSIDE and quoted:
            if not any((tree.root / base / included).is_file() for base in (parts[0], "/".join(parts[:-1]))):
                yield Finding(name, line, f"{parts[0]} must not include {included}: only <wring/...> and its own files")


def run(tree):
    found = []
    for name in tree.sources("include", "src", *OUTSIDE):
        text = tree.text(name)
        found += _include_findings(tree, name, text)
        if name.startswith(("include/", "src/")) and not SHELLS.match(name):
            for line, code in enumerate(cpp.code_only(text).splitlines(), start=1):
                allowed = NUMBER if name in BY_NUMBER else NOTHING
                if bare := next((b for b in BARE.finditer(code) if not allowed.fullmatch(b[0])), None):
                    found.append(Finding(name, line, f"{bare[0]} belongs behind base/sync.h, base/clock.h, base/syscall.h"))
    return found


def self_test():
    bad = {
        "src/base/list.h": '#include "sched/pool.h"\n',
        "src/sched/pool.h": '#include <mutex>\nstd::atomic<int> n;\n',
        "tools/main.cc": '#include "base/list.h"\n',
        "include/wring/work.h": '#include "base/list.h"\n',
        "src/iowq/pool.cc": '#include "workqueue/queue.h"\n#include <sys/syscall.h>\n',
        "src/workqueue/queue.h": '#include "base/gone.h"\n#include "iowq/pool.h"\n',
        "src/iowq/call.cc": "#include <sys/syscall.h>\nlong n = SYS_read; syscall(n);\nstd::mutex m;\n",
    }
    assert len(findings_in(run, bad)) == 11
    good = {
        "src/base/sync_real.h": "#include <atomic>\nstd::atomic<int> n;\n",
        "src/base/list.h": '#include "base/sync_real.h"  // std::mutex is for others\n',
        "src/sched/pool.h": '#include "base/list.h"\n#include <wring/work.h>\nconst char* s = "std::thread";\n',
        "tools/main.cc": '#include "sum.h"\n#include <thread>\n',
        "tools/sum.h": "#include <wring/work.h>\n",
        "include/wring/work.h": "#include <wring/version.h>\n",
        "src/iowq/pool.cc": '#include "iowq/worker.h"\n#include "sched/pool.h"\n#include "base/list.h"\n',
        "src/iowq/worker.h": "",
        "src/iowq/call.cc": "#include <sys/syscall.h>\nlong n = SYS_read;\n",
        "src/base/interruptible_real.cc": "#include <sys/syscall.h>\nlong n = syscall(SYS_read);\n",
    }
    assert not findings_in(run, good)
