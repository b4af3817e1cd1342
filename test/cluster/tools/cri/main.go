// Command cri asks a container runtime what the kubelet would ask it, and prints the answer as JSON.
//
//	cri -endpoint unix:///run/containerd/containerd.sock VERB [ARGUMENT]
//
//	pull REFERENCE      pulls as for a pod; Basic credentials may stand in CRI_USERNAME and CRI_PASSWORD
//	images              lists images
//	remove REFERENCE    removes an image
//	pids POD            lists the containers of the pod with that namespace/name, and their process ids
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	endpoint := flag.String("endpoint", "unix:///run/containerd/containerd.sock", "address of the runtime")
	deadline := flag.Duration("deadline", 10*time.Minute, "time after which to give up")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *deadline)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	answer, err := run(ctx, *endpoint, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint string, arguments []string) (any, error) {
	connection, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	images := cri.NewImageServiceClient(connection)
	switch {
	case len(arguments) == 2 && arguments[0] == "pull":
		return pull(ctx, images, arguments[1])
	case len(arguments) == 1 && arguments[0] == "images":
		listed, err := images.ListImages(ctx, &cri.ListImagesRequest{})
		return listed.GetImages(), err
	case len(arguments) == 2 && arguments[0] == "remove":
		_, err := images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: arguments[1]}})
		return struct{}{}, err
	case len(arguments) == 2 && arguments[0] == "pids":
		return pids(ctx, cri.NewRuntimeServiceClient(connection), arguments[1])
	}
	return nil, errors.New("usage: cri [-endpoint ADDRESS] pull REFERENCE | images | remove REFERENCE | pids NAMESPACE/POD")
}

func pull(ctx context.Context, images cri.ImageServiceClient, reference string) (any, error) {
	request := &cri.PullImageRequest{Image: &cri.ImageSpec{Image: reference}}
	if user := os.Getenv("CRI_USERNAME"); user != "" {
		request.Auth = &cri.AuthConfig{Username: user, Password: os.Getenv("CRI_PASSWORD")}
	}
	started := time.Now()
	pulled, err := images.PullImage(ctx, request)
	if err != nil {
		return nil, err
	}
	return map[string]any{"imageRef": pulled.GetImageRef(), "milliseconds": time.Since(started).Milliseconds()}, nil
}

type process struct {
	Container string `json:"container"`
	ID        string `json:"id"`
	Pid       int    `json:"pid"`
}

// pids gives the first process of each running container, numbered as the runtime's process id namespace numbers it.
func pids(ctx context.Context, runtime cri.RuntimeServiceClient, pod string) (any, error) {
	namespace, name, found := strings.Cut(pod, "/")
	if !found {
		return nil, errors.New("name the pod as namespace/name")
	}
	running := &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}
	listed, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{
		State:         running,
		LabelSelector: map[string]string{"io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.name": name},
	}})
	if err != nil {
		return nil, err
	}
	processes := []process{}
	for _, container := range listed.GetContainers() {
		status, err := runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: container.GetId(), Verbose: true})
		if err != nil {
			return nil, err
		}
		var details struct {
			Pid int `json:"pid"`
		}
		if err := json.Unmarshal([]byte(status.GetInfo()["info"]), &details); err != nil {
			return nil, err
		}
		processes = append(processes, process{container.GetMetadata().GetName(), container.GetId(), details.Pid})
	}
	return processes, nil
}
