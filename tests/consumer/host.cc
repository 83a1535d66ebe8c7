// SPDX-License-Identifier: Apache-2.0
// host: `host PLUGIN LIBRARY` loads a plugin that uses wring, lets it work and closes it. The threads that wring keeps
// are still there, so LIBRARY, which contains wring, has to stay mapped; exits 1 if it does not.
#include <dlfcn.h>

#include <cstdio>

namespace {

int complain(const char* text) {
  std::puts(text);
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return complain("usage: host PLUGIN LIBRARY");
  void* const plugin = ::dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) return complain(::dlerror());
  const auto work = reinterpret_cast<int (*)()>(::dlsym(plugin, "plugin_work"));
  if (work == nullptr || work() != 42) return complain("the plugin did not work");
  ::dlclose(plugin);
  if (::dlopen(arguments[2], RTLD_LAZY | RTLD_NOLOAD) == nullptr)
    return complain("wring was unloaded under its threads");
  std::puts("still loaded");
  return 0;
}
