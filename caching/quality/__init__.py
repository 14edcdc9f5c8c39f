"""Judging against the data: do pictures look like the data, which PSNR cannot say."""
