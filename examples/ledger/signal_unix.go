//go:build unix

package main

import "syscall"

func signalKill(pid int) error     { return syscall.Kill(pid, syscall.SIGKILL) }
func signalStop(pid int) error     { return syscall.Kill(pid, syscall.SIGSTOP) }
func signalContinue(pid int) error { return syscall.Kill(pid, syscall.SIGCONT) }
func signalEnd(pid int) error      { return syscall.Kill(pid, syscall.SIGTERM) }
