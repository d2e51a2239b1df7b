"""Where to compute."""

import torch


def resolve_device(device: str | torch.device) -> torch.device:
    """Give the torch device that is meant, or say that there is none.

    Parameters
    ----------
    device : str or torch.device
        "auto" means CUDA if there is a device, else the CPU.

    Returns
    -------
    device : torch.device
        A device that works.

    Raises
    ------
    ValueError
        If torch cannot use the device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        if resolved.type != "cpu":
            torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]  # CUDA goes on about debugging
        raise ValueError(
            f"Got device={str(device)!r}, which torch cannot use here ({reason}). "
            "Use device='auto' or device='cpu', or install a build of torch for it."
        ) from error
    return resolved
