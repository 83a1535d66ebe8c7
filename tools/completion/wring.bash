# SPDX-License-Identifier: Apache-2.0
# Bash completion of the wring command.

_wring() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} candidates
  if [ "$COMP_CWORD" -eq 1 ]; then
    candidates='sum --help --version'
  elif [ "${COMP_WORDS[1]}" != sum ]; then
    candidates=
  elif [ "$before" = -a ] || [ "$before" = --algorithm ]; then
    candidates='sha256 sha512 blake2b xxh128'
  elif [[ $word = -* ]]; then
    candidates='--algorithm --check --json --zero --summary --no-progress --quiet --status --strict --warn
      --ignore-missing --help --version'
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
}
complete -F _wring wring
