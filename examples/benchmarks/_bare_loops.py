"""Minimal training loops in PyTorch, with which the benchmarks compare skgen."""

import torch
import torch.nn.functional as F
from torch import nn


def random_bits(generator):
    """Return a function that draws bits by thresholds of 16 bits."""

    def bits(p):
        words = torch.empty((p.numel() + 3) // 4, dtype=torch.int64)
        words.random_(-(2**63), None, generator=generator)
        u = words.view(torch.uint16)[: p.numel()].view(p.shape).float()
        return u.lt_(p * 2.0**16)

    return bits


def start_rbm(X, n_hidden, batch):
    """Return generator, W, b, c and hidden states of one chain per row of a batch."""
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(n_hidden, X.shape[1], generator=generator) * 0.01
    b, c = torch.zeros(X.shape[1]), torch.zeros(n_hidden)
    return generator, W, b, c, torch.zeros(batch, n_hidden)


def batches(n, batch, epochs, generator=None):
    """Yield the indices of the rows of mini-batches, shuffled in each epoch."""
    for _ in range(epochs):
        yield from torch.randperm(n, generator=generator).split(batch)


def bare_rbm(X, n_hidden, batch, epochs, lr=0.1):
    """Train an RBM by PCD-1.

    Products are computed for data and chains together, random bits have thresholds
    of 16 bits, and parameters are updated in place.
    """
    X = torch.from_numpy(X)
    generator, W, b, c, h = start_rbm(X, n_hidden, batch)
    bits = random_bits(generator)
    for rows in batches(len(X), batch, epochs, generator):
        v = X[rows]
        n = len(v)
        v_neg = bits(torch.sigmoid_(torch.addmm(b, h, W)))
        states = torch.cat([v, v_neg])
        p = torch.sigmoid_(torch.addmm(c, states, W.T))
        h = bits(p[n:])
        p[:n].mul_(1 / n)
        p[n:].mul_(-1 / batch)
        W.addmm_(p.T, states, alpha=lr)
        b.add_(v.mean(0) - v_neg.mean(0), alpha=lr)
        c.add_(p.sum(0), alpha=lr)
    return W


def bare_rbm_bfloat16(X, n_hidden, batch, epochs, lr=0.1):
    """Train as `bare_rbm`, with factors and results of products in bfloat16."""
    X = torch.from_numpy(X)
    generator, W, b, c, h = start_rbm(X, n_hidden, batch)
    bits = random_bits(generator)
    for rows in batches(len(X), batch, epochs, generator):
        v = X[rows]
        n = len(v)
        rounded = W.bfloat16()
        v_neg = bits(torch.sigmoid_((h.bfloat16() @ rounded).float().add_(b)))
        states = torch.cat([v, v_neg]).bfloat16()
        p = torch.sigmoid_((states @ rounded.T).float().add_(c))
        h = bits(p[n:])
        p[:n].mul_(1 / n)
        p[n:].mul_(-1 / batch)
        W.add_(p.bfloat16().T @ states, alpha=lr)
        b.add_(v.mean(0) - v_neg.mean(0), alpha=lr)
        c.add_(p.sum(0), alpha=lr)
    return W


def bare_vae(X, n_hidden, n_latent, batch, epochs, lr=1e-3):
    """Train a variational autoencoder of bits, with fused Adam."""
    torch.manual_seed(0)
    X = torch.from_numpy(X)
    n_features = X.shape[1]
    encoder = nn.Sequential(
        nn.Linear(n_features, n_hidden), nn.ReLU(), nn.Linear(n_hidden, 2 * n_latent)
    )
    decoder = nn.Sequential(
        nn.Linear(n_latent, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_features)
    )
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr, fused=True)
    for rows in batches(len(X), batch, epochs):
        x = X[rows]
        mean, log_variance = encoder(x).chunk(2, dim=1)
        variance = log_variance.exp()
        z = torch.addcmul(mean, variance.sqrt(), torch.randn_like(mean))
        kl = 0.5 * (mean.square() + variance - log_variance - 1).sum()
        error = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        optimizer.zero_grad()
        ((error + kl) / len(x)).backward()
        optimizer.step()
    return encoder, decoder
