// Command deviceplugin offers devices of one resource to the kubelet of a node, as the device
// plugin of network cards does. It writes a device-info file for each, and runs until it gets
// SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

func main() {
	resource := flag.String("resource", "kaloom.com/nic", "the `name` of the resource")
	ids := flag.String("ids", "nic0,nic1", "the `IDs` of its devices, separated by commas")
	infoDir := flag.String("devinfo", "/var/run/k8s.cni.cncf.io/devinfo/dp", "the `directory` of device-info files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	p := &plugin{resource: *resource, ids: strings.Split(*ids, ","), infoDir: *infoDir}
	if err := p.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "deviceplugin:", err)
		os.Exit(1)
	}
}

type plugin struct {
	deviceplugin.UnimplementedDevicePluginServer
	resource string
	ids      []string
	infoDir  string
	// hangUp is called when the kubelet no longer follows the devices.
	hangUp context.CancelFunc
}

// run offers the devices to the kubelet, and again to the next one, which removes all sockets.
func (p *plugin) run(ctx context.Context) error {
	if err := p.writeInfo(); err != nil {
		return err
	}
	defer p.removeInfo()
	for ctx.Err() == nil {
		if err := p.offer(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *plugin) infoFile(id string) string {
	return filepath.Join(p.infoDir, strings.ReplaceAll(p.resource, "/", "-")+"-"+id+"-device.json")
}

func (p *plugin) writeInfo() error {
	if err := os.MkdirAll(p.infoDir, 0o755); err != nil {
		return err
	}
	for _, id := range p.ids {
		info := fmt.Sprintf(`{"type":"pci","version":"1.1.0","pci":{"pci-address":%q}}`, id)
		if err := os.WriteFile(p.infoFile(id), []byte(info), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (p *plugin) removeInfo() {
	for _, id := range p.ids {
		_ = os.Remove(p.infoFile(id))
	}
}

// offer serves until the kubelet hangs up.
func (p *plugin) offer(ctx context.Context) error {
	name := strings.ReplaceAll(p.resource, "/", "-") + ".sock"
	socket := filepath.Join(deviceplugin.DevicePluginPath, name)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(deviceplugin.DevicePluginPath, 0o750); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	hungUp, hangUp := context.WithCancel(ctx)
	defer hangUp()
	p.hangUp = hangUp
	server := grpc.NewServer()
	deviceplugin.RegisterDevicePluginServer(server, p)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	for {
		err := p.register(ctx, name)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond): // the kubelet is not there yet
		}
	}
	<-hungUp.Done()
	return nil
}

func (p *plugin) register(ctx context.Context, socket string) error {
	conn, err := grpc.NewClient("unix://"+deviceplugin.KubeletSocket,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = deviceplugin.NewRegistrationClient(conn).Register(ctx, &deviceplugin.RegisterRequest{
		Version: deviceplugin.Version, Endpoint: socket, ResourceName: p.resource,
	})
	return err
}

// GetDevicePluginOptions implements deviceplugin.DevicePluginServer.
func (p *plugin) GetDevicePluginOptions(
	context.Context, *deviceplugin.Empty,
) (*deviceplugin.DevicePluginOptions, error) {
	return &deviceplugin.DevicePluginOptions{}, nil
}

// ListAndWatch implements deviceplugin.DevicePluginServer.
func (p *plugin) ListAndWatch(
	_ *deviceplugin.Empty, stream grpc.ServerStreamingServer[deviceplugin.ListAndWatchResponse],
) error {
	defer p.hangUp()
	var devices []*deviceplugin.Device
	for _, id := range p.ids {
		devices = append(devices, &deviceplugin.Device{ID: id, Health: deviceplugin.Healthy})
	}
	if err := stream.Send(&deviceplugin.ListAndWatchResponse{Devices: devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate implements deviceplugin.DevicePluginServer.
func (p *plugin) Allocate(
	_ context.Context, request *deviceplugin.AllocateRequest,
) (*deviceplugin.AllocateResponse, error) {
	answer := &deviceplugin.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		answer.ContainerResponses = append(answer.ContainerResponses, &deviceplugin.ContainerAllocateResponse{
			Envs: map[string]string{"DEVICES": strings.Join(container.DevicesIds, ",")},
		})
	}
	return answer, nil
}
