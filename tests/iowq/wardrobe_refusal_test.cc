// SPDX-License-Identifier: Apache-2.0
// What the system refuses to give to a worker, and what it refuses to take back (IOWQ-72, IOWQ-128, IOWQ-U4).
//
// Method: forked children that have given up all rights; and threads to which calls are refused from a moment on.
#include "iowq/dressing.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <string>
#include <thread>

namespace wring::test {
namespace {

class refusal : public each_part {};

// IOWQ-72, IOWQ-U4. Method: the part, together with one that needs no right and is put on before or after it.
TEST_P(refusal, leaves_the_thread_who_it_is) {
  if (const std::string why = unavailable(); !why.empty()) GTEST_SKIP() << why;
  in_a_child([this](claims& c) {
    its().begin();
    const identity refused = its().make(0);
    const identity harmless = identity::make({.umask = 0123, .io_priority = 3 << 13}).value();
    const rlimit no_nice{0, 0};
    c.check(::setrlimit(RLIMIT_NICE, &no_nice) == 0 && give_up_everything(), "the process may do nothing");
    const std::string own = its().seen();
    const auto umask_now = [] {
      return contents(proc_of(::gettid(), "status")).find("Umask:\t0123") != std::string::npos;
    };
    beside(
        [&] {
          wardrobe w;
          c.check(w.put_on(of(refused)) == dressing::refused && w.worn() == nullptr, "refused");
          check_seen(c, its().seen(), own, "refused");
          c.check(w.put_on(of(harmless)) == dressing::ok && umask_now(), "what needs no right is put on");
          c.check(w.put_on(of(refused)) == dressing::refused && w.worn() == nullptr, "refused after another one");
          check_seen(c, its().seen(), own, "refused after another one");
          c.check(!umask_now() && raw(SYS_ioprio_get, 1, 0) != 3 << 13, "which is taken off");
          c.check(w.put_on(of(refused)) == dressing::refused, "refused again");
          c.check(w.put_on(of(harmless)) == dressing::ok && w.take_off() == dressing::ok, "the wardrobe is good still");
        },
        [&] { check_seen(c, its().seen(), own, "the rest of the process"); });
  });
}

INSTANTIATE_TEST_SUITE_P(all, refusal, names_of_parts([](const part_kind& kind) { return kind.needs_root; }),
                         name_of_case);

// IOWQ-72. Method: each of these is refused last, when the rest is there already.
TEST(refused_identities, leave_nothing_of_what_was_put_on_before) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  temporary_folder closed;
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0777), 0);
  ASSERT_EQ(::chmod(closed.path("").c_str(), 0700), 0);
  in_a_child([&](claims& c) {
    const int open_to_all = ::open(folder.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const int of_root = ::open(closed.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const std::string home = working_folder();
    identity_options rest{.folder = open_to_all, .umask = 0123, .io_priority = 3 << 13};
    std::vector<identity> refused;
    for (const int what : {0, 1, 2, 3}) {
      identity_options o = rest;
      if (what == 0) o.user = 0, o.group = 0;
      if (what == 1) o.io_priority = 1 << 13;  // real-time
      if (what == 2) o.nice = -5;
      if (what == 3) o.folder = of_root;
      refused.push_back(identity::make(o).value());
    }
    c.check(give_up_everything(), "the process may do nothing");
    std::thread{[&] {
      wardrobe w;
      const long io = raw(SYS_ioprio_get, 1, 0);
      for (const identity& who : refused) {
        c.check(w.put_on(of(who)) == dressing::refused, "refused");
        c.check(working_folder() == home && ::umask(022) == 022 && raw(SYS_ioprio_get, 1, 0) == io, "nothing is left");
      }
      c.check(w.put_on(of(identity::make(rest).value())) == dressing::ok, "the rest is not refused");
    }}.join();
  });
}

// Method: who is without rights becomes what he is.
TEST(refused_identities, are_not_those_of_the_worker_itself) {
  in_a_child([](claims& c) {
    if (is_root()) c.check(give_up_everything(), "the process may do nothing");
    for (const identity_part credentials : {identity_part::file_credentials, identity_part::credentials}) {
      const identity self =
          identity::capture(credentials | identity_part::folder | identity_part::umask | identity_part::io_priority)
              .value();
      std::thread{[&] {
        wardrobe w;
        c.check(w.put_on(of(self)) == dressing::ok && w.take_off() == dressing::ok, "nobody needs a right for that");
      }}.join();
    }
  });
}

// IOWQ-U10. Method: the limit that lets a thread come back from a nicer value.
TEST(nice_values, are_put_on_where_a_limit_lets_them_come_back) {
  WRING_NEEDS_ROOT();
  if (::getpriority(PRIO_PROCESS, 0) != 0) GTEST_SKIP() << "the limit is for a value of 0";
  const rlimit allowed{20, 20};
  const auto allow = [&allowed] { return ::setrlimit(RLIMIT_NICE, &allowed) == 0; };
  if (in_forked_child([&](claims& c) { c.check(allow(), "the limit may be raised"); }) != 0)
    GTEST_SKIP() << "raising a limit takes a right that not even root has everywhere";
  in_a_child([&allow](claims& c) {
    c.check(allow(), "the limit may be raised");
    c.check(give_up_everything(), "the process may do nothing");
    const identity nicer = identity::make({.nice = 7}).value();
    const identity less = identity::make({.nice = -1}).value();
    const auto nice = [] { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); };
    std::thread{[&] {
      wardrobe w;
      c.check(w.put_on(of(nicer)) == dressing::ok && nice() == 7, "nicer");
      c.check(w.put_on(of(less)) == dressing::refused && nice() == 0, "less nice is refused");
      c.check(w.put_on(of(nicer)) == dressing::ok && w.take_off() == dressing::ok && nice() == 0, "and back");
    }}.join();
  });
}

// ---- refused to come back

class return_refused : public each_part {};

// IOWQ-72, IOWQ-128. Method: for each call that the way back takes, one thread to which it is refused when the part is
// on: by taking it off, and by putting another identity on.
TEST_P(return_refused, taints_the_worker) {
  if (const std::string why = unavailable(); !why.empty()) GTEST_SKIP() << why;
  in_a_child([this](claims& c) {
    its().begin();
    const identity worn = its().make(0);
    const identity another = another_than(kind());
    for (const long number : kind().ways_back) {
      for (const bool by_another : {false, true}) {
        bool dressed = false;
        bool tainted = false;
        bool final = false;
        std::thread{[&] {
          wardrobe w;
          dressed = w.put_on(of(worn)) == dressing::ok && refuse_calls({number});
          tainted = (by_another ? w.put_on(of(another)) : w.take_off()) == dressing::tainted && w.worn() == nullptr;
          final = w.put_on(of(another)) == dressing::tainted && w.put_on(of(worn)) == dressing::tainted &&
                  w.put_on(nullptr) == dressing::tainted && w.take_off() == dressing::tainted;
        }}.join();
        c.check(dressed, "it is put on");
        c.check(tainted, ("the worker is tainted without call " + std::to_string(number)).c_str());
        c.check(final, "for good");
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(all, return_refused, names_of_parts([](const part_kind&) { return true; }), name_of_case);

// IOWQ-128. Method: the right to come back is given up by what runs as somebody else.
TEST(tainted_workers, are_those_that_have_lost_the_right_to_come_back) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  in_a_child([&folder](claims& c) {
    const int fd = ::open(folder.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const identity root = identity::make({.root = fd}).value();
    const identity user = identity::make({.user = stranger, .group = strange_group}).value();
    const identity nice = identity::make({.nice = 19}).value();
    for (const identity* who : {&root, &user, &nice}) {
      std::thread{[&] {
        wardrobe w;
        c.check(w.put_on(of(*who)) == dressing::ok, "it is put on");
        c.check(set_capabilities({}) == 0, "all capabilities are given up");
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_NICE, &none);
        c.check(w.take_off() == dressing::tainted, "there is no way back");
      }}.join();
    }
  });
}

// IOWQ-128. Method: the C library's function, which changes all threads, also the one that is somebody else.
TEST(tainted_workers, are_those_whose_process_has_become_another_user_meanwhile) {
  WRING_NEEDS_ROOT();
  for (const bool for_good : {false, true}) {
    in_a_child([for_good](claims& c) {
      const identity user = identity::make({.user = stranger, .group = strange_group}).value();
      gate dressed;
      gate changed;
      std::thread worker{[&] {
        wardrobe w;
        c.check(w.put_on(of(user)) == dressing::ok, "it is put on");
        dressed.open();
        changed.wait();
        c.check(w.take_off() == dressing::tainted, "nobody knows what is the worker's own");
        c.check(uids().effective == stranger + 1, "it is not root again");
      }};
      dressed.wait();
      c.check(::setresuid(for_good ? stranger + 1 : static_cast<uid_t>(-1), stranger + 1,
                          for_good ? stranger + 1 : static_cast<uid_t>(-1)) == 0,
              "the process becomes somebody");
      changed.open();
      worker.join();
    });
  }
}

// IOWQ-128. Method: what runs as somebody else becomes a third one.
TEST(tainted_workers, are_those_whose_item_has_changed_its_user) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const identity user = identity::make({.user = stranger, .group = strange_group}).value();
    const identity next = identity::make({.user = stranger + 1, .group = strange_group}).value();
    std::thread{[&] {
      wardrobe w;
      c.check(w.put_on(of(user)) == dressing::ok, "it is put on");
      raw(SYS_setfsuid, stranger + 7);
      c.check(w.put_on(of(next)) == dressing::tainted, "who was changed by somebody else is not trusted");
    }}.join();
  });
}

}  // namespace
}  // namespace wring::test
