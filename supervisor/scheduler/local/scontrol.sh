#!/bin/bash
# Stands in for scontrol on a cluster of one machine: "scontrol show hostnames [LIST]".

if [[ ${1-} != show || ${2-} != hostname* ]]; then
  echo "scontrol: error: only 'show hostnames' is known on a cluster of one machine." >&2
  exit 1
fi
list=${3-${SLURM_JOB_NODELIST-}}
while [[ -n $list ]]; do
  # One name, whose brackets may hold commas.
  [[ $list =~ ^([^],[]*(\[[^]]*\])?[^],[]*),?(.*)$ ]] || exit 1
  name=${BASH_REMATCH[1]} list=${BASH_REMATCH[3]}
  if [[ ! $name =~ ^([^[]*)\[([^]]*)\](.*)$ ]]; then
    echo "$name"
    continue
  fi
  before=${BASH_REMATCH[1]} ranges=${BASH_REMATCH[2]} after=${BASH_REMATCH[3]}
  IFS=, read -r -a parts <<<"$ranges"
  for part in "${parts[@]}"; do
    first=${part%-*} last=${part#*-}
    for number in $(seq -f "%0${#first}.0f" "$first" "$last"); do
      echo "$before$number$after"
    done
  done
done
