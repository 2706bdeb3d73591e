"""Kubernetes's pod security standard `restricted`, as far as this project's pods come near it."""

from typing import Any


def violations(pod: dict[str, Any]) -> list[str]:
    """Why a namespace that enforces the standard refuses a pod, by its spec."""
    of_pod = pod.get("securityContext") or {}
    found = [
        f"host: {name}" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name) is True
    ]
    found += [f"volume {v['name']}" for v in pod.get("volumes") or [] if "hostPath" in v]
    for container in pod["containers"]:
        security = {**of_pod, **(container.get("securityContext") or {})}
        wanted = {
            "privilege escalation": security.get("allowPrivilegeEscalation") is False,
            "capabilities": (security.get("capabilities") or {}).get("drop") == ["ALL"],
            "root": security.get("runAsNonRoot") is True and security.get("runAsUser") != 0,
            "seccomp profile": (security.get("seccompProfile") or {}).get("type")
            in ("RuntimeDefault", "Localhost"),
        }
        found += [f"{container['name']}: {name}" for name, holds in wanted.items() if not holds]
    return found
