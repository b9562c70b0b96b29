// Package usage says what another process has used. It reads /proc, so it needs Linux.
package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// CPU returns the CPU time of a process, in steps of 10 ms.
func CPU(pid int) (cpu time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name of the process comes before the last parenthesis, and may have spaces.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system, tick = 11, 12, 10 * time.Millisecond
	for _, i := range []int{user, system} {
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return 0, fmt.Errorf("stat of process %d: %w", pid, err)
		}
		cpu += time.Duration(n) * tick
	}
	return cpu, nil
}

// Memory returns the anonymous memory of a process, in bytes.
func Memory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("RssAnon:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("status of process %d has no RssAnon", pid)
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("status of process %d: %w", pid, err)
	}
	return kb << 10, nil
}
