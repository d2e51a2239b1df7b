"""Minimal training loops in PyTorch, with which the benchmarks compare skgen."""

import torch
import torch.nn.functional as F
from torch import nn


def random_bits(generator):
    """Return a function that draws bits by thresholds of 16 bits."""

    def bits(p):
        if p.is_cuda:  # where random numbers are cheap
            return (
                torch.rand(p.shape, generator=generator, device=p.device).lt(p).float()
            )
        words = torch.empty((p.numel() + 3) // 4, dtype=torch.int64)
        words.random_(-(2**63), None, generator=generator)
        u = words.view(torch.uint16)[: p.numel()].view(p.shape).float()
        return u.lt_(p * 2.0**16)

    return bits


def start_rbm(X, n_hidden, batch):
    """Return generator, W, b, c and hidden states of one chain per row of a batch."""
    there = {"device": X.device}
    generator = torch.Generator(**there).manual_seed(0)
    W = torch.randn(n_hidden, X.shape[1], generator=generator, **there) * 0.01
    b, c = torch.zeros(X.shape[1], **there), torch.zeros(n_hidden, **there)
    return generator, W, b, c, torch.zeros(batch, n_hidden, **there)


def batches(X, batch, epochs, generator=None):
    """Yield the indices of the rows of mini-batches, shuffled in each epoch."""
    for _ in range(epochs):
        order = torch.randperm(len(X), generator=generator, device=X.device)
        yield from order.split(batch)


def bare_rbm(X, n_hidden, batch, epochs, lr=0.1):
    """Train an RBM by PCD-1.

    Products are computed for data and chains together, random bits have thresholds
    of 16 bits, and parameters are updated in place.
    """
    X = torch.as_tensor(X)
    generator, W, b, c, h = start_rbm(X, n_hidden, batch)
    bits = random_bits(generator)
    for rows in batches(X, batch, epochs, generator):
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
    for rows in batches(X, batch, epochs, generator):
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


def bare_gaussian_rbm(X, n_hidden, batch, epochs, lr=0.1, least=1e-3):
    """Train an RBM with normal visible units and learned variances by PCD-1.

    The data is standardised by column. The products of data and chains are one, as in
    `bare_rbm`; steps are along the moments, and the log variances follow at 0.3 of the
    rate, within limits.
    """
    X = torch.from_numpy(X)
    X = (X - X.mean(0)) / X.std(0, correction=0)
    generator, W, c, b, h = start_rbm(X, n_hidden, batch)
    bits = random_bits(generator)
    z, low = torch.zeros(X.shape[1]), torch.tensor(least).log()
    for rows in batches(X, batch, epochs, generator):
        v = X[rows]
        n = len(v)
        precision = torch.exp(-z)
        v_neg = torch.addmm(c, h, W)
        noise = torch.randn(v_neg.shape, generator=generator)
        v_neg.addcmul_(noise, torch.exp(z / 2))
        states = torch.cat([v, v_neg])
        p = torch.sigmoid_(torch.addmm(b, states, (W * precision).T))
        h = bits(p[n:])
        p[:n].mul_(1 / n)
        p[n:].mul_(-1 / batch)
        dW, dc = p.T @ states, v.mean(0) - v_neg.mean(0)
        squares = v.square().mean(0) - v_neg.square().mean(0)
        dz = (squares / 2 - c * dc - (W * dW).sum(0)) * precision
        W.add_(dW, alpha=lr)
        c.add_(dc, alpha=lr)
        b.add_(p.sum(0), alpha=lr)
        z.add_(dz, alpha=0.3 * lr).clamp_(low, 0)
    return W


def refilled(pool, parts, generator):
    """Yield the parts of a pool of uniform random numbers, again and again."""
    while True:
        pool.uniform_(generator=generator)
        yield from parts


@torch.inference_mode()
def lean_rbm(X, n_hidden, batch, epochs, lr=0.1):
    """Train an RBM by PCD-1 with as few operations a step as possible.

    The biases are the last row and column of W, and all states have a last column of
    ones. Uniform random numbers come from a pool, which is filled again after it has
    been used up. No tensor is created in a step. An incomplete last mini-batch is left
    out.
    """
    X = torch.cat([torch.from_numpy(X), torch.ones(len(X), 1)], 1)
    n, d, k = len(X) // batch * batch, X.shape[1] - 1, n_hidden
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(k + 1, d + 1, generator=generator) * 0.01
    W[k, d] = 0  # a constant, whose gradient is 0
    v, p = torch.ones(2 * batch, d + 1), torch.ones(2 * batch, k + 1)
    p[batch:, k] = -1  # the chains are subtracted
    h, p_v = torch.ones(batch, k + 1), torch.empty(batch, d)
    h[:, :k] = 0
    pool = torch.empty(max(1, 2**16 // (batch * (d + k))), batch * (d + k))
    sizes = batch * d, batch * k
    parts = [u.split(sizes) for u in pool]
    parts = [(u.view(batch, d), w.view(batch, k)) for u, w in parts]
    uniforms = refilled(pool, parts, generator)
    # To create these views would take about as long as a small product.
    W_v, W_h, p_T = W[:, :d], W[:k].T, p.T
    x, v_neg, h_neg = v[:batch], v[batch:, :d], h[:, :k]
    p_h, p_neg = p[:, :k], p[batch:, :k]
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator)[:n].split(batch):
            u_v, u_h = next(uniforms)
            torch.index_select(X, 0, rows, out=x)
            torch.mm(h, W_v, out=p_v).sigmoid_()
            torch.lt(u_v, p_v, out=v_neg)
            torch.mm(v, W_h, out=p_h).sigmoid_()
            torch.lt(u_h, p_neg, out=h_neg)
            p_neg.neg_()
            W.addmm_(p_T, v, alpha=lr / batch)
    return W


def networks(n_features, n_hidden, n_latent):
    """Return encoder and decoder with one hidden layer each."""
    encoder = nn.Sequential(
        nn.Linear(n_features, n_hidden), nn.ReLU(), nn.Linear(n_hidden, 2 * n_latent)
    )
    decoder = nn.Sequential(
        nn.Linear(n_latent, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_features)
    )
    return encoder, decoder


def draw(encoder, x):
    """Return a draw from the posterior, and the KL divergence summed over rows."""
    mean, log_variance = encoder(x).chunk(2, dim=1)
    variance = log_variance.exp()
    z = torch.addcmul(mean, variance.sqrt(), torch.randn_like(mean))
    return z, 0.5 * (mean.square() + variance - log_variance - 1).sum()


def bare_vae(X, n_hidden, n_latent, batch, epochs, lr=1e-3):
    """Train a variational autoencoder of bits, with fused Adam."""
    torch.manual_seed(0)
    X = torch.as_tensor(X)
    encoder, decoder = networks(X.shape[1], n_hidden, n_latent)
    for network in (encoder, decoder):
        network.to(X.device)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr, fused=True)
    for rows in batches(X, batch, epochs):
        x = X[rows]
        z, kl = draw(encoder, x)
        error = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        optimizer.zero_grad()
        ((error + kl) / len(x)).backward()
        optimizer.step()
    return encoder, decoder


def bare_gaussian_vae(X, n_hidden, n_latent, batch, epochs, lr=3e-3):
    """Train a variational autoencoder of real values, which learns a noise variance.

    The data is centered and divided by one number, as in `skgen.GaussianVAE`, and the
    log of the noise variance is a parameter of fused Adam as all others.
    """
    torch.manual_seed(0)
    X = torch.from_numpy(X)
    X = X - X.mean(0)
    X /= X.square().mean().sqrt()
    encoder, decoder = networks(X.shape[1], n_hidden, n_latent)
    log_noise = nn.Parameter(torch.zeros(()))
    parameters = [*encoder.parameters(), *decoder.parameters(), log_noise]
    optimizer = torch.optim.Adam(parameters, lr=lr, fused=True)
    for rows in batches(X, batch, epochs):
        x = X[rows]
        z, kl = draw(encoder, x)
        error = F.mse_loss(decoder(z), x, reduction="sum")
        error = 0.5 * (error * (-log_noise).exp() + x.numel() * log_noise)
        optimizer.zero_grad()
        ((error + kl) / len(x)).backward()
        optimizer.step()
    return encoder, decoder, log_noise
