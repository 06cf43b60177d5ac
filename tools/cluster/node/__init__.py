"""Run a real node on this machine: kubelet, containerd, kube-proxy and DNS."""
