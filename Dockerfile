# elman serve in a container: docker build -t elman . && docker run -p 8000:8000 -e ELMAN_TOKEN=... elman
# Serve a run of your own: docker run -v $PWD/runs/names:/runs/names elman /runs/names
FROM python:3.12-slim
RUN useradd --create-home elman
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# the CPU build of torch is enough for Elman's own engine
RUN pip install --no-cache-dir -c constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu '.[all]' && rm -rf /build/src
USER elman
WORKDIR /home/elman
EXPOSE 8000
# exec form: SIGTERM reaches the service, which answers what runs and stops
ENTRYPOINT ["elman", "serve", "--host", "0.0.0.0", "--port", "8000"]
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"]
