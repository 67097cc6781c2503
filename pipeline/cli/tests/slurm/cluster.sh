#!/usr/bin/env bash
# A Slurm cluster of two nodes on this machine, to be thrown away: no systemd, all state in one folder.
#   cluster.sh up DIR | down DIR | kill-node DIR n1
# Needs Debian's slurm-wlm, slurmctld, slurmd, slurm-client and munge, and root.
set -euo pipefail
command=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
host=$(hostname -s)
export SLURM_CONF="$folder/slurm.conf"

stop() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
    kill -9 "$pid" || true
}

# Processes of the tasks on a node.
tasks_on() {
    { grep -lzsE "^SLURMD_NODENAME=$1$" /proc/[0-9]*/environ || true; } | cut -d/ -f3
}

case $command in
up)
    mkdir -p "$folder"/{state,log,run,spool.n1,spool.n2}
    (umask 077; head -c 1024 /dev/urandom > "$folder/munge.key")
    cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16917
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.sock,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmctldTimeout=5
SlurmdTimeout=5
KillWait=5
ReturnToService=2
JobCompType=jobcomp/none
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=16921 CPUs=2 RealMemory=2000
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=16922 CPUs=2 RealMemory=2000
CONF
    munged --key-file="$folder/munge.key" --socket="$folder/run/munge.sock" --pid-file="$folder/run/munged.pid" \
        --log-file="$folder/log/munged.log" --seed-file="$folder/run/munge.seed"
    slurmctld -c -f "$SLURM_CONF"
    for node in n1 n2; do slurmd -N $node -f "$SLURM_CONF"; done
    for _ in $(seq 100); do [ "$(sinfo -hN -t idle | wc -l)" = 2 ] && exit 0; sleep 0.1; done
    echo "the nodes did not come up" >&2
    exit 1
    ;;
down)
    scancel -u "$(id -un)" 2>/dev/null || true
    for node in n1 n2; do
        for pid in $(tasks_on $node || true); do kill -9 "$pid" 2>/dev/null || true; done
    done
    for pid_file in "$folder"/run/slurmd.*.pid "$folder/run/slurmctld.pid" "$folder/run/munged.pid"; do stop "$pid_file"; done
    ;;
kill-node)
    # As when the power fails: the daemon, the steps' keepers and the tasks, without a word to anybody.
    node=$3
    tasks=$(tasks_on "$node")
    keepers=$(for pid in $tasks; do parent=$(awk '{ print $4 }' "/proc/$pid/stat") && grep -qs slurmstepd "/proc/$parent/comm" && echo "$parent"; done | sort -u || true)
    kill -9 $(cat "$folder/run/slurmd.$node.pid") $keepers $tasks 2>/dev/null || true
    ;;
esac
