"""Single-image super-resolution: networks that learn what bicubic interpolation leaves out, and a protocol to judge them by."""
