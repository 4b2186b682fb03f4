// Command golden writes answers of the kubelet's pod-resources API, encoded by the kubelet's own
// types, for the tests of pkg/podresources. Run it there:
//
//	go run -C ../../test/deviceplugin ./golden "$PWD/testdata"
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

func main() {
	share := "share"
	pod := &podresources.PodResources{
		Name: "app", Namespace: "tenant", CpuIds: []int64{4, 5},
		Containers: []*podresources.ContainerResources{
			{
				Name: "first",
				Devices: []*podresources.ContainerDevices{
					{ResourceName: "kaloom.com/nic", DeviceIds: []string{"nic2"}, Topology: &podresources.TopologyInfo{
						Nodes: []*podresources.NUMANode{{ID: 1}}}},
					{ResourceName: "kaloom.com/nic", DeviceIds: []string{"nic10"}},
					{ResourceName: "kaloom.com/other", DeviceIds: []string{"b", "a"}},
				},
				CpuIds: []int64{1, 2, 300},
				Memory: []*podresources.ContainerMemory{{MemoryType: "memory", Size: 1 << 40}},
				DynamicResources: []*podresources.DynamicResource{{
					ClaimName: "claim", ClaimNamespace: "tenant",
					ClaimResources: []*podresources.ClaimResource{
						{DriverName: "nic.kaloom.com", PoolName: "pool", DeviceName: "vf0", ShareId: &share,
							CdiDevices: []*podresources.CDIDevice{{Name: "kaloom.com/nic=vf0"}}},
						{DriverName: "nic.kaloom.com", PoolName: "pool", DeviceName: "vf1"},
					},
				}},
			},
			{
				Name: "second",
				Devices: []*podresources.ContainerDevices{
					{ResourceName: "kaloom.com/nic", DeviceIds: []string{"nic1"}},
				},
				DynamicResources: []*podresources.DynamicResource{{ClaimResources: []*podresources.ClaimResource{
					{DriverName: "nic.kaloom.com", PoolName: "pool", DeviceName: "vf0"}}}},
			},
		},
	}
	other := &podresources.PodResources{Name: "app", Namespace: "other", Containers: pod.Containers[:1]}
	write("get.pb", &podresources.GetPodResourcesResponse{PodResources: pod})
	write("list.pb", &podresources.ListPodResourcesResponse{PodResources: []*podresources.PodResources{other, pod}})
	write("request.pb", &podresources.GetPodResourcesRequest{PodName: "app", PodNamespace: "tenant"})
}

func write(name string, message proto.Message) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err == nil {
		err = os.WriteFile(filepath.Join(os.Args[1], name), data, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
