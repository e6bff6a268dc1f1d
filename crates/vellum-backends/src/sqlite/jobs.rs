//! The table of jobs.

use super::{SqliteMetastore, rows, sql_limit};
use sqlx::Row;
use vellum_core::Result;
use vellum_core::access::Pass;
use vellum_core::ids::JobId;
use vellum_core::job::Job;

impl SqliteMetastore {
    pub(super) async fn write_job(&self, job: &Job) -> Result<()> {
        const SQL: &str = "INSERT INTO job
                (id, collection, spec, state, report, error, created_ms, updated_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET
                collection = excluded.collection, spec = excluded.spec, state = excluded.state,
                report = excluded.report, error = excluded.error,
                created_ms = excluded.created_ms, updated_ms = excluded.updated_ms";
        let done = rows::bind_job(sqlx::query(SQL), job).execute(&self.writer).await;
        done.map(drop).map_err(self.failed("write a job"))
    }

    pub(super) async fn read_job(&self, id: JobId) -> Result<Option<Job>> {
        sqlx::query("SELECT * FROM job WHERE id = ?")
            .bind(id.to_string())
            .try_map(|row| rows::job(&row))
            .fetch_optional(&self.readers)
            .await
            .map_err(self.failed("read a job"))
    }

    pub(super) async fn read_known_sources(
        &self,
        pass: &Pass,
        candidates: &[String],
    ) -> Result<Vec<String>> {
        const SQL: &str = "SELECT DISTINCT json_extract(spec, '$.source') AS source FROM job
            WHERE collection = ? AND json_extract(spec, '$.source') IN (SELECT value FROM json_each(?))
            ORDER BY source";
        sqlx::query(SQL)
            .bind(pass.collection().to_string())
            .bind(serde_json::to_string(candidates).expect("texts always serialise"))
            .try_map(|row| row.try_get("source"))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the jobs"))
    }

    pub(super) async fn read_unfinished_jobs(&self) -> Result<Vec<Job>> {
        const SQL: &str = "SELECT * FROM job WHERE state NOT IN ('done', 'failed', 'cancelled')
            ORDER BY created_ms, id";
        sqlx::query(SQL)
            .try_map(|row| rows::job(&row))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the jobs"))
    }

    pub(super) async fn delete_old_jobs(&self, keep: usize) -> Result<u64> {
        const SQL: &str = "DELETE FROM job
            WHERE state IN ('done', 'failed', 'cancelled')
            AND (created_ms, id) <= (
                SELECT created_ms, id FROM job ORDER BY created_ms DESC, id DESC LIMIT 1 OFFSET ?)
            AND (EXISTS (SELECT 1 FROM job AS newer WHERE newer.collection = job.collection
                    AND json_extract(newer.spec, '$.source') = json_extract(job.spec, '$.source')
                    AND (newer.created_ms, newer.id) > (job.created_ms, job.id))
                OR EXISTS (SELECT 1 FROM job AS above WHERE above.collection = job.collection
                    AND json_extract(above.spec, '$.source') LIKE '%/'
                    AND json_extract(above.spec, '$.source') <> json_extract(job.spec, '$.source')
                    AND instr(json_extract(job.spec, '$.source'), json_extract(above.spec, '$.source')) = 1))";
        let done = sqlx::query(SQL).bind(sql_limit(keep)).execute(&self.writer).await;
        done.map(|done| done.rows_affected()).map_err(self.failed("forget old jobs"))
    }

    pub(super) async fn read_jobs(&self, limit: usize) -> Result<Vec<Job>> {
        sqlx::query("SELECT * FROM job ORDER BY created_ms DESC, id DESC LIMIT ?")
            .bind(sql_limit(limit))
            .try_map(|row| rows::job(&row))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the jobs"))
    }
}
