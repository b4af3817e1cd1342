// Command steer-port decides which of the listeners that share a port (SO_REUSEPORT) gets the connections to
// it. The kernel takes that as a socket option only, and Node.js cannot set it. So this program inherits the
// socket of one of the listeners, as descriptor 3, and sets the option.
//
//	steer-port hash     each connection goes to any listener, by a hash of its addresses: the kernel's default
//	steer-port INDEX    each goes to the listener at INDEX in the kernel's list; to any when there is none
//
// The option (SO_ATTACH_REUSEPORT_CBPF, socket(7)) takes a program of the classic Berkeley Packet Filter,
// which here returns a constant. It holds for all listeners of the port and needs no privilege.
package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// attachReuseportCBPF is SO_ATTACH_REUSEPORT_CBPF of asm-generic/socket.h, which package syscall lacks.
const attachReuseportCBPF = 51

// socket is the inherited descriptor: the first after the standard ones.
const socket = 3

// nobody is the index of no listener: the kernel then chooses by hash.
const nobody = math.MaxUint32

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "steer-port:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("the argument must be `hash` or an index")
	}
	if arguments[0] == "hash" {
		return steer(nobody)
	}
	index, err := strconv.ParseUint(arguments[0], 10, 16)
	if err != nil {
		return err
	}
	return steer(uint32(index))
}

func steer(index uint32) error {
	filter := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: index}}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := syscall.Syscall6(syscall.SYS_SETSOCKOPT, socket, syscall.SOL_SOCKET, attachReuseportCBPF,
		uintptr(unsafe.Pointer(&program)), unsafe.Sizeof(program), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
